// Hot path. What happens to a connection without the http handler, the like of handle-request.ts: its service is known by its port or
// by the name in its TLS handshake, so it goes to a machine, or to the gate, and from one that cannot be reached to the next.

import type { Ends } from "../core/ends.ts";
import type { ErrorCode, ProxyError } from "../core/errors.ts";
import type { PortKind } from "../core/port-kind.ts";
import type { RequestIds } from "../core/request-id.ts";
import { UNCOUNTED } from "../catalog/address-table.ts";
import type { Access } from "./access.ts";
import type { Asleep, WordOnSleep } from "./asleep.ts";
import type { Outliers } from "../health/outliers.ts";
import type { LoggedConnection } from "./access-line.ts";
import type { Attempted, Attempts } from "./attempts.ts";
import type { BackOff } from "./back-off.ts";
import type { EdgeMachine, EdgeService } from "./edge-app.ts";

export interface ConnectionHandlerOptions {
  readonly attempts: Attempts;
  readonly asleep: Asleep;
  readonly outliers: Outliers<EdgeService, EdgeMachine>;
  readonly ids: RequestIds;
}

/** A raw connection or a UDP session, which only carries out what is decided here. */
export interface Carried {
  /** Connects to the machine, on which a place was claimed. */
  attempt(machine: EdgeMachine): void;
  /** Ends it, for there is no machine. */
  refuse(code: ErrorCode): void;
}

export class ConnectionHandler {
  readonly attempts: Attempts;
  readonly asleep: Asleep;
  readonly outliers: Outliers<EdgeService, EdgeMachine>;
  readonly ids: RequestIds;

  constructor({ attempts, asleep, outliers, ids }: ConnectionHandlerOptions) {
    this.attempts = attempts;
    this.asleep = asleep;
    this.outliers = outliers;
    this.ids = ids;
  }

  /** @param service where it is routed to at first */
  open(facts: RoutedConnection["facts"], service: EdgeService, carried: Carried): RoutedConnection {
    return new RoutedConnection(this, facts, service, carried);
  }
}

/** A connection, as far as routing it goes. */
export class RoutedConnection implements Attempted, LoggedConnection {
  readonly id: string;
  readonly facts: { readonly kind: PortKind; readonly ends: Ends; readonly serverName: string | null };
  readonly startedMs = performance.now();
  service: EdgeService;
  machine: EdgeMachine | null = null;
  lastMachine: EdgeMachine | null = null;
  tried: EdgeMachine[] | null = null;
  /** Nothing in it could say where it is to go. */
  readonly aim = null;
  attempts = 0;
  readonly wasSeen = false;
  backOff: BackOff | null = null;
  isWaiting = false;
  waitsFor: "asleep" | "full" = "asleep";
  heldSinceMs = 0;
  heldMs = 0;
  hadToWake = false;
  code: ErrorCode | null = null;
  bytesReceived = 0;
  bytesSent = 0;
  readonly #handler: ConnectionHandler;
  readonly #carried: Carried;
  /** What counts it among the connections of its client's address. */
  #access: Access | null = null;
  #place = UNCOUNTED;

  constructor(handler: ConnectionHandler, facts: RoutedConnection["facts"], service: EdgeService, carried: Carried) {
    this.#handler = handler;
    this.facts = facts;
    this.service = service;
    this.#carried = carried;
    this.id = handler.ids.next(Date.now());
  }

  /** Looks for a machine, if its client may have one. */
  begin(refusal: ErrorCode | null = this.admit()): void {
    this.service.traffic.connects++;
    if (refusal === null) this.#handler.attempts.route(this);
    else this.refuse(refusal);
  }

  /** Why its client may not have it; null when it may. Asked once; what it takes of what the client's address may have, its end gives back. */
  admit(): ErrorCode | null {
    const { access } = this.service;
    return access === null ? null : this.#enter(access, this.facts.ends.sourceIp);
  }

  attempt(machine: EdgeMachine): void {
    this.#carried.attempt(machine);
  }

  refuse(code: ErrorCode): void {
    this.#carried.refuse(code);
  }

  onAsleep(): WordOnSleep {
    return this.#handler.asleep.meetsConnection(this.service, this.facts.ends.sourceIp);
  }

  onGateOpen(): boolean {
    const { attempts } = this.#handler;
    const service = attempts.current(this);
    if (service !== undefined) return attempts.goOn(this, service);
    attempts.endWait(this);
    this.refuse("no_machine");
    return true;
  }

  onGateFailed(error: ProxyError): void {
    this.#handler.attempts.onGateFailed(this, error);
  }

  /** Nothing of the connection has reached the machine: another one may do as well. */
  onAttemptFailed(error: ProxyError): void {
    const { attempts, outliers } = this.#handler;
    const { machine } = this;
    attempts.releaseClaim(this);
    // UDP has no connection that could be seen to stand.
    if (machine !== null && this.facts.kind !== "udp") outliers.failed(this.service, machine, error.code);
    attempts.again(this, error, machine);
  }

  onBackedOff(): void {
    const { attempts } = this.#handler;
    const service = attempts.current(this);
    if (service === undefined) return this.refuse("no_machine");
    this.service = service;
    attempts.route(this);
  }

  /** It stands, so long after the machine was chosen. */
  onConnected(ms: number): void {
    this.#handler.attempts.observe(this, ms);
    if (this.machine !== null) this.#handler.outliers.answered(this.service, this.machine, 0);
  }

  countReceived(bytes: number): void {
    this.bytesReceived += bytes;
    this.service.traffic.bytesIn += bytes;
  }

  countSent(bytes: number): void {
    this.bytesSent += bytes;
    this.service.traffic.bytesOut += bytes;
  }

  /** It is over. */
  end(): void {
    this.#access?.disconnect(this.#place);
    this.service.traffic.disconnects++;
    this.#handler.attempts.leave(this);
  }

  #enter(access: Access, ip: string): ErrorCode | null {
    const code = access.refusal(ip);
    if (code !== null) return code;
    const place = access.connect(ip);
    if (place === null) return "too_many_connections";
    this.#access = access;
    this.#place = place;
    return null;
  }
}
