// Hot path. What a worker counts. The main thread collects it from all workers and keeps the sums; see metrics.ts.

import { Histogram } from "./histogram.ts";

/** Since the last collection; plain values that cross between threads. */
export interface TrafficReport {
  /** `fly_edge_*`, a row an app and status. */
  readonly edge: readonly ResponseRow[];
  /** `fly_app_*`, a row a machine and status. */
  readonly machines: readonly ResponseRow[];
  readonly connects: readonly ConnectRow[];
  readonly clients: readonly ClientRow[];
  readonly ejections: readonly EjectionRow[];
  readonly errors: readonly { readonly code: string; readonly count: number }[];
  readonly handshakeErrors: readonly { readonly servername: string; readonly count: number }[];
  readonly handshakes: readonly HandshakeRow[];
  /** Now, not since. */
  readonly connections: number;
  readonly waiting: number;
}

export interface ResponseRow {
  readonly app: string;
  /** null in the rows of the edge. */
  readonly machine: MachineLabels | null;
  readonly status: number;
  readonly times: Float64Array;
}

export interface HandshakeRow {
  readonly version: string;
  readonly isResumed: boolean;
  readonly times: Float64Array;
}

export interface ConnectRow {
  readonly app: string;
  readonly machine: MachineLabels;
  readonly opened: number;
  readonly closed: number;
  readonly times: Float64Array;
}

export interface ClientRow {
  readonly app: string;
  readonly connects: number;
  readonly disconnects: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Attempts at machines that fail their checks, because all that run do. */
  readonly panics: number;
  /** Requests that went by a remembered replay, and replays that were remembered. */
  readonly replaysRecalled: number;
  readonly replaysRemembered: number;
}

export interface EjectionRow {
  readonly app: string;
  readonly machine: MachineLabels;
  readonly count: number;
}

export interface MachineLabels {
  readonly id: string;
  readonly region: string;
}

/** Names in failed handshakes come from anyone: beyond this many different ones they are counted together. */
const MAX_SERVERNAMES = 100;

export class Traffic {
  readonly #apps = new Map<string, AppTraffic>();
  readonly #machines = new Map<string, MachineTraffic>();
  readonly #errors = new Map<string, number>();
  readonly #handshakeErrors = new Map<string, number>();
  /** By version; those that resumed a session apart. */
  readonly #handshakes = { full: new Map<string, Histogram>(), resumed: new Map<string, Histogram>() };

  app(name: string): AppTraffic {
    let app = this.#apps.get(name);
    if (app === undefined) this.#apps.set(name, (app = new AppTraffic(name)));
    return app;
  }

  machine(app: string, labels: MachineLabels): MachineTraffic {
    let machine = this.#machines.get(labels.id);
    if (machine === undefined) this.#machines.set(labels.id, (machine = new MachineTraffic(app, labels)));
    return machine;
  }

  countError(code: string): void {
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  countHandshakeError(servername: string): void {
    const isNew = !this.#handshakeErrors.has(servername);
    const label = isNew && this.#handshakeErrors.size >= MAX_SERVERNAMES ? "other" : servername;
    this.#handshakeErrors.set(label, (this.#handshakeErrors.get(label) ?? 0) + 1);
  }

  observeHandshake(version: string, isResumed: boolean, seconds: number): void {
    const histograms = isResumed ? this.#handshakes.resumed : this.#handshakes.full;
    let histogram = histograms.get(version);
    if (histogram === undefined) histograms.set(version, (histogram = new Histogram()));
    histogram.observe(seconds);
  }

  /** Forgets counters of apps and machines that are gone. Call it after a collection. */
  prune(apps: ReadonlySet<string>, machines: ReadonlySet<string>): void {
    for (const name of this.#apps.keys()) if (!apps.has(name)) this.#apps.delete(name);
    for (const id of this.#machines.keys()) if (!machines.has(id)) this.#machines.delete(id);
  }

  /** Everything since the last call, and back to zero. */
  collect(gauges: { connections: number; waiting: number }): TrafficReport {
    const report: TrafficReport = {
      edge: [...this.#apps.values()].flatMap((app) => app.responses()),
      machines: [...this.#machines.values()].flatMap((machine) => machine.responses()),
      connects: [...this.#machines.values()].flatMap((machine) => machine.connections()),
      clients: [...this.#apps.values()].flatMap((app) => app.clients()),
      ejections: [...this.#machines.values()].flatMap((machine) => machine.takeEjections()),
      errors: [...this.#errors].map(([code, count]) => ({ code, count })),
      handshakeErrors: [...this.#handshakeErrors].map(([servername, count]) => ({ servername, count })),
      handshakes: [
        ...[...this.#handshakes.full].map(([version, { values }]) => ({ version, isResumed: false, times: values })),
        ...[...this.#handshakes.resumed].map(([version, { values }]) => ({ version, isResumed: true, times: values })),
      ],
      ...gauges,
    };
    this.#errors.clear();
    this.#handshakeErrors.clear();
    this.#handshakes.full.clear();
    this.#handshakes.resumed.clear();
    return report;
  }
}

/** An app as this edge sees it. */
export class AppTraffic {
  readonly #app: string;
  readonly #byStatus = new Map<number, Histogram>();
  connects = 0;
  disconnects = 0;
  bytesIn = 0;
  bytesOut = 0;
  panics = 0;
  replaysRecalled = 0;
  replaysRemembered = 0;

  constructor(app: string) {
    this.#app = app;
  }

  /** @param seconds from the request's head to the response's head */
  countResponse(status: number, seconds: number): void {
    count(this.#byStatus, status, seconds);
  }

  responses(): ResponseRow[] {
    return take(this.#byStatus).map(([status, times]) => ({ app: this.#app, machine: null, status, times }));
  }

  clients(): ClientRow[] {
    const { connects, disconnects, bytesIn, bytesOut, panics, replaysRecalled, replaysRemembered } = this;
    if (connects + disconnects + bytesIn + bytesOut + panics + replaysRecalled + replaysRemembered === 0) return [];
    this.connects = this.disconnects = this.bytesIn = this.bytesOut = this.panics = this.replaysRecalled = this.replaysRemembered = 0;
    return [{ app: this.#app, connects, disconnects, bytesIn, bytesOut, panics, replaysRecalled, replaysRemembered }];
  }
}

/** A machine as this edge sees it. */
export class MachineTraffic {
  readonly #app: string;
  readonly #labels: MachineLabels;
  readonly #byStatus = new Map<number, Histogram>();
  #connectTimes = new Histogram();
  #opened = 0;
  #closed = 0;
  /** How often this worker ejected it. */
  ejections = 0;

  constructor(app: string, labels: MachineLabels) {
    this.#app = app;
    this.#labels = labels;
  }

  /** @param seconds from the request leaving the edge to the response's head */
  countResponse(status: number, seconds: number): void {
    count(this.#byStatus, status, seconds);
  }

  onConnected(seconds: number): void {
    this.#opened++;
    this.#connectTimes.observe(seconds);
  }

  onDisconnected(): void {
    this.#closed++;
  }

  responses(): ResponseRow[] {
    return take(this.#byStatus).map(([status, times]) => ({ app: this.#app, machine: this.#labels, status, times }));
  }

  takeEjections(): EjectionRow[] {
    const { ejections } = this;
    this.ejections = 0;
    return ejections === 0 ? [] : [{ app: this.#app, machine: this.#labels, count: ejections }];
  }

  connections(): ConnectRow[] {
    if (this.#opened + this.#closed === 0) return [];
    const row = { app: this.#app, machine: this.#labels, opened: this.#opened, closed: this.#closed, times: this.#connectTimes.values };
    this.#opened = this.#closed = 0;
    this.#connectTimes = new Histogram();
    return [row];
  }
}

function count(byStatus: Map<number, Histogram>, status: number, seconds: number): void {
  let histogram = byStatus.get(status);
  if (histogram === undefined) byStatus.set(status, (histogram = new Histogram()));
  histogram.observe(seconds);
}

function take(byStatus: Map<number, Histogram>): [number, Float64Array][] {
  const rows = [...byStatus].map(([status, { values }]): [number, Float64Array] => [status, values]);
  byStatus.clear();
  return rows;
}
