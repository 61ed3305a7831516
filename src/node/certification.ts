// Certificates and all that goes with them on the main thread, put together: where they are kept, who orders them, who answers for names,
// and what the workers ask and are told. Part of the composition root.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import type { Logger } from "pino";

import type { Catalog } from "../catalog/catalog.ts";
import { Certificates } from "../certs/certificates.ts";
import { Challenges } from "../certs/challenges.ts";
import { ExpiryAlarm } from "../certs/expiry-alarm.ts";
import { LocalCa } from "../certs/local-ca.ts";
import { hasSealed } from "../certs/seal-anew.ts";
import { Secret } from "../certs/secret.ts";
import { ServedSince } from "../certs/served-since.ts";
import { SessionTickets } from "../certs/session-tickets.ts";
import { Vault } from "../certs/vault.ts";
import type { NodeConfig } from "../config/node-config.ts";
import type { App } from "../core/app.ts";
import type { Component } from "../core/component.ts";
import { ProxyError } from "../core/errors.ts";
import type { Store } from "../state/store.ts";
import { logFailure } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Authority, AuthorityOptions } from "./authority.ts";
import { CertificatesControl } from "./certificates-control.ts";
import { createDnsServer } from "./dns-challenges.ts";
import { setCertificateGauges } from "./gauges.ts";
import { withTrustedSince } from "./trusted-since.ts";
import type { FromWorker, ToWorker } from "./worker-messages.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface CertificationOptions {
  readonly config: NodeConfig;
  readonly store: Store;
  /** KITTIWAKE_SECRET; undefined where it is not set. */
  readonly secret: string | undefined;
  readonly catalog: Catalog;
  /** Those there are by the time that there is something to tell. */
  readonly workers: Pick<WorkerPool, "taken"> & {
    send(worker: number, message: ToWorker): void;
    broadcast(message: ToWorker): void;
  };
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface Parts {
  readonly vault: Vault;
  readonly challenges: Challenges;
  /** null: certificates come from the local CA. */
  readonly authority: Authority | null;
  readonly certificates: Certificates;
  readonly tickets: SessionTickets;
  readonly cookieKeys: () => readonly Buffer[];
}

/** A store that works takes milliseconds. */
const TRUSTED_SINCE_MS = 1000;

export class Certification implements AsyncDisposable {
  readonly control: CertificatesControl;
  readonly #options: CertificationOptions;
  readonly #parts: Parts;
  readonly #servedSince: ServedSince;

  private constructor(options: CertificationOptions, parts: Parts, secret: Secret) {
    const { store, log } = options;
    const { vault, authority } = parts;
    this.#options = options;
    this.#parts = parts;
    this.#servedSince = new ServedSince({ store, now: Date.now });
    this.control = new CertificatesControl({ vault, secret, store, renewer: authority?.renewer ?? null, log, now: Date.now });
  }

  /** Throws `certificate_unavailable` or `config_invalid` for a local CA, a secret or an authority's root that cannot be used. */
  static async open(options: CertificationOptions): Promise<Certification> {
    const { config, store, secret: environment, catalog, workers, metrics, log } = options;
    const ca = await LocalCa.open(join(config.dataDir, "ca"), { log });
    const path = join(config.dataDir, "secret.key");
    // Where there is no secret, what clients are given lasts as long as this process.
    const ownKey = randomBytes(32);
    const cookieKeys = (): readonly Buffer[] => {
      const keys = secret.derived("cookies");
      return keys.length > 0 ? keys : [ownKey];
    };
    const onChange = (): void => workers.broadcast({ type: "cookie_keys", keys: cookieKeys() });
    const secret: Secret = await Secret.open({ path, environment, isInUse: () => hasSealed(store), onChange, log });
    const vault: Vault = new Vault({
      store,
      secret,
      onChanged: (names) => {
        workers.broadcast({ type: "certificates_changed", names });
        authority?.renewer.onCertificates();
      },
      log,
    });
    const challenges = new Challenges({
      store,
      onKnown: (challenge) => workers.broadcast({ type: "challenge", challenge }),
      onForgotten: (kind, name) => workers.broadcast({ type: "challenge_gone", kind, name }),
      taken: () => workers.taken(),
      log,
    });
    const onOrder = ({ directory, result }: { readonly directory: string; readonly result: string }): void => {
      metrics.countOrder(directory, result);
    };
    const authority: Authority | null =
      config.tls.issuer === "internal"
        ? null
        : await openAuthority({ config: config.tls, store, sealer: secret, vault, challenges, onOrder, log });
    const certificates = new Certificates({
      issuer: ca,
      authority,
      stored: (hostname) => vault.issued(hostname),
      isDeclared: (hostname) => catalog.declares(hostname),
      onRenewed: (hostname, certificate) => {
        // Which names below a wildcard the workers know is their business.
        if (hostname.startsWith("*.")) workers.broadcast({ type: "certificates_changed", names: [hostname] });
        else workers.broadcast({ type: "certificate", hostname, certificate });
      },
      log,
    });
    const tickets = new SessionTickets({ store, secret, onChange: (keys) => workers.broadcast({ type: "ticket_keys", keys }), log });
    return new Certification(options, { vault, challenges, authority, certificates, tickets, cookieKeys }, secret);
  }

  /** What a worker begins with. */
  get ticketKeys(): SessionTickets["inForce"] {
    return this.#parts.tickets.inForce;
  }

  /** What a worker begins with: 32 bytes each, the same on every node with the same secret. The first one signs. */
  get cookieKeys(): readonly Buffer[] {
    return this.#parts.cookieKeys();
  }

  /** What a worker begins with. */
  get challenges(): Challenges["known"] {
    return this.#parts.challenges.known;
  }

  /** What is known of the store's by the time that the first client comes. Never throws: with the store out of reach, all else still works. */
  async prepare(): Promise<void> {
    const { vault, tickets } = this.#parts;
    // Names that are known elsewhere would be ordered.
    await vault.load().catch((error: unknown) => logFailure(this.#options.log, error));
    // Sessions of the node before, or of others, go on from the first handshake.
    await tickets.look();
  }

  /** Resolves when challenges are answered in every way; the parts run on. */
  async run(run: (component: Component) => void): Promise<void> {
    const { config, metrics, log } = this.#options;
    const { vault, challenges, certificates, authority, tickets } = this.#parts;
    run(challenges);
    const ownZone = config.tls.issuer === "acme" ? config.tls.dns.ownZone : null;
    if (ownZone !== null) {
      const dns = createDnsServer(ownZone, {
        texts: (label) => challenges.texts(label),
        onResult: (result) => metrics.countDns(result),
        log,
      });
      run(dns);
      await dns.listening;
    }
    run(vault);
    run(new ExpiryAlarm({ certificates: () => vault.list(), isServed: (one) => vault.isServed(one), log }));
    run(certificates);
    // Last: what it publishes is answered by now.
    if (authority !== null) run(authority.renewer);
    run(tickets);
  }

  /** These apps declare names now. */
  setApps(apps: readonly App[]): void {
    this.#parts.authority?.setApps(apps);
  }

  setGauges(): void {
    setCertificateGauges(this.#options.metrics, this.#parts.vault.list(), Date.now());
  }

  /** Answers a worker that has a handshake for this name. */
  async certify(worker: number, hostname: string): Promise<void> {
    const { catalog, workers, log } = this.#options;
    const { certificates, vault } = this.#parts;
    try {
      const certificate = await certificates.get(hostname);
      const knowledge = { apps: () => catalog.apps, vault, servedSince: this.#servedSince };
      const remembered = withTrustedSince(hostname, certificate, knowledge).catch((error) => {
        logFailure(log, error, { hostname });
        return certificate;
      });
      // Nobody waits for what browsers are to remember, while the store does not answer.
      const trusted = await Promise.race([remembered, delay(TRUSTED_SINCE_MS, certificate, { ref: false })]);
      workers.send(worker, { type: "certificate", hostname, certificate: trusted });
    } catch (error) {
      // What fails is logged where it fails, once; clients that come back all the time would fill the log with it.
      if (error instanceof ProxyError) log.debug({ hostname, code: error.code }, error.message);
      else logFailure(log, error, { hostname });
      const { code, message } = error instanceof ProxyError ? error : new ProxyError("certificate_unavailable");
      workers.send(worker, { type: "certificate_failed", hostname, code, message });
    }
  }

  /** Answers a worker that was asked for a challenge it does not know. */
  async seekChallenge(worker: number, { kind, name }: Extract<FromWorker, { type: "challenge_wanted" }>): Promise<void> {
    const challenge = await this.#parts.challenges.answer(kind, name);
    this.#options.workers.send(worker, challenge === null ? { type: "challenge_unknown", kind, name } : { type: "challenge", challenge });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.authority?.[Symbol.asyncDispose]();
  }
}

/** Loads what speaks ACME, which most nodes can start without. */
async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const authority = await import("./authority.ts");
  return await authority.openAuthority(options);
}
