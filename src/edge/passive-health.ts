// What a worker makes of machines that fail, by their checks or by what it sees of them: told in the log, counted, and ranked anew.

import type { Logger } from "pino";
import type { Deadlines } from "../core/deadlines.ts";
import { Outliers, type Ejection } from "../health/outliers.ts";
import type { Router } from "../routing/router.ts";
import { rankedAnew, type EdgeApp, type EdgeMachine, type EdgeService } from "./edge-app.ts";

export interface PassiveHealthOptions {
  readonly router: Router<EdgeService, EdgeApp>;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** Whoever waits for the app may try again. */
  readonly onReadmitted: (app: string) => void;
}

/** That a service is in panic is said at most this often. */
const PANIC_LOG_MS = 60_000;

export class PassiveHealth {
  readonly outliers: Outliers<EdgeService, EdgeMachine>;
  readonly #options: PassiveHealthOptions;
  /** By app and service. */
  readonly #panicLoggedMs = new Map<string, number>();

  constructor(options: PassiveHealthOptions) {
    const { router, deadlines, onReadmitted } = options;
    this.#options = options;
    this.outliers = new Outliers({
      deadlines,
      current: ({ app, key }) => router.app(app)?.services.find((service) => service.key === key),
      onEjected: (service, machine, ejection) => this.#onEjected(service, machine, ejection),
      onReadmitted: ({ app }) => {
        this.#rankAnew(app);
        onReadmitted(app);
      },
    });
  }

  /** A machine that fails its checks is tried, because all that run do. */
  onPanic({ app, key, traffic }: EdgeService, { id, region }: EdgeMachine): void {
    traffic.panics++;
    const name = `${app} ${key}`;
    const nowMs = performance.now();
    if (nowMs - (this.#panicLoggedMs.get(name) ?? -Infinity) < PANIC_LOG_MS) return;
    this.#panicLoggedMs.set(name, nowMs);
    const fields = { app, service: key, machine: id, region };
    this.#options.log.warn(fields, "every machine that runs fails its checks: requests go to the best of them");
  }

  #onEjected({ app, key }: EdgeService, { id, name, region, traffic }: EdgeMachine, ejection: Ejection): void {
    traffic.ejections++;
    this.#rankAnew(app);
    this.#options.log.warn({ app, service: key, machine: id, region, ...ejection }, `machine "${name}" is an outlier and is left alone`);
  }

  #rankAnew(name: string): void {
    const { router } = this.#options;
    const app = router.app(name);
    if (app !== undefined) router.set(rankedAnew(app));
  }
}
