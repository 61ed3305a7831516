// Says in the log which certificates expire soon, once a day for each: those that renew themselves should have done so long before, and
// imported ones are the operator's to renew. The metrics say the same (node/gauges.ts).

import type { Logger } from "pino";

import { Alarm, type StartTimer } from "../core/alarm.ts";
import type { Component } from "../core/component.ts";
import { lifetimeState } from "./lifetime.ts";
import type { StoredCertificate } from "./stored-certificate.ts";

export interface ExpiryAlarmOptions {
  certificates(): readonly StoredCertificate[];
  /** Does any of its names depend on it? */
  isServed(certificate: StoredCertificate): boolean;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly startTimer?: StartTimer;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A certificate may have hundreds. */
const MAX_NAMES = 20;

export class ExpiryAlarm implements Component {
  readonly name = "expiry-alarm";
  readonly #options: ExpiryAlarmOptions;
  readonly #now: () => number;
  readonly #alarm: Alarm;
  /** By fingerprint: when it was said last. */
  #saidMs = new Map<string, number>();

  constructor(options: ExpiryAlarmOptions) {
    this.#options = options;
    const { now = Date.now, startTimer } = options;
    this.#now = now;
    this.#alarm = new Alarm({ now, longestMs: HOUR_MS, startTimer });
  }

  /** Looks every hour until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#look();
      await this.#alarm.sleep(Infinity, signal);
    }
  }

  #look(): void {
    const { certificates, isServed, log } = this.#options;
    const nowMs = this.#now();
    const saidMs = new Map<string, number>();
    for (const certificate of certificates()) {
      const { hostname, names, source, notAfter, fingerprint } = certificate;
      if (lifetimeState(certificate, nowMs) !== "expires_soon" || !isServed(certificate)) continue;
      const lastMs = this.#saidMs.get(fingerprint) ?? -Infinity;
      const isDue = nowMs - lastMs >= DAY_MS;
      saidMs.set(fingerprint, isDue ? nowMs : lastMs);
      if (!isDue) continue;
      const leftHours = Math.floor((notAfter.getTime() - nowMs) / HOUR_MS);
      log.warn(
        { event: "expires_soon", hostname, names: names.slice(0, MAX_NAMES), source, notAfter, leftHours },
        `a certificate expires soon: ${REMEDIES[source]}`,
      );
    }
    // What is not about to expire any more is forgotten.
    this.#saidMs = saidMs;
  }
}

const REMEDIES = {
  imported: "import its successor with `kittiwake certs import`",
  acme: "it should have been renewed; `kittiwake certs show` has the last error",
} as const;
