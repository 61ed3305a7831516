// Hot path. What happens to a connection without the http handler, the like of handle-request.ts: its service is known by its port or
// by the name in its TLS handshake, so it goes to a machine, or to the gate, and from one that cannot be reached to the next.

import type { ErrorCode } from "../core/errors.ts";
import { ProxyError } from "../core/errors.ts";
import type { RequestIds } from "../core/request-id.ts";
import type { Balancer, Refusal } from "../routing/balancer.ts";
import type { Router } from "../routing/router.ts";
import type { Gate, Waiting } from "../wake/gate.ts";
import type { EdgeApp, EdgeMachine, EdgeService } from "./edge-app.ts";
import type { Places } from "./places.ts";

/** A raw connection, as far as routing it goes. Its fields are the handler's but for `service`, which it begins with. */
export interface RoutedConnection extends Waiting {
  service: EdgeService;
  /** The machine that a place is claimed on. */
  machine: EdgeMachine | null;
  lastMachine: EdgeMachine | null;
  /** Machines that could not be reached. */
  tried: EdgeMachine[] | null;
  attempts: number;
  isWaiting: boolean;
  waitsFor: "asleep" | "full";
  heldSinceMs: number;
  heldMs: number;
  hadToWake: boolean;
  /** Why the last attempt failed. */
  code: ErrorCode | null;
  /** Connects to the machine, on which a place was claimed. */
  attempt(machine: EdgeMachine): void;
  /** Ends it, for there is no machine. */
  refuse(code: ErrorCode): void;
}

export interface ConnectionHandlerOptions {
  readonly router: Router<EdgeService, EdgeApp>;
  readonly balancer: Balancer;
  readonly gate: Gate;
  readonly places: Places;
  readonly ids: RequestIds;
  readonly maxAttempts: number;
  /** All running machines are above their soft limit and another could be woken. Called often; the receiver thins it out. */
  readonly onBusy: (service: EdgeService) => void;
  /** A connection that waited for a machine to wake is on its way to it. */
  readonly onServedAfterWake: (service: EdgeService, machine: EdgeMachine, heldMs: number) => void;
}

export class ConnectionHandler {
  readonly #options: ConnectionHandlerOptions;

  constructor(options: ConnectionHandlerOptions) {
    this.#options = options;
  }

  nextId(): string {
    return this.#options.ids.next(Date.now());
  }

  /** Routes it to a machine, or to the gate. */
  open(connection: RoutedConnection): void {
    const { gate, balancer } = this.#options;
    const { service } = connection;
    // Who comes now must not overtake those who wait.
    const waitsFor = connection.tried === null ? gate.waitsFor(service) : null;
    if (waitsFor !== null) return this.#hold(connection, waitsFor);
    const outcome = balancer.claim(service, connection.tried);
    if (typeof outcome !== "string") return this.#attempt(connection, outcome);
    if (outcome === "asleep" || outcome === "full") return this.#hold(connection, outcome);
    connection.refuse(connection.code ?? refusalCode(outcome));
  }

  /** Nothing of the connection has reached the machine: another one may do as well. */
  onAttemptFailed(connection: RoutedConnection, error: ProxyError): void {
    const { machine } = connection;
    this.releaseClaim(connection);
    connection.code = error.code;
    if (connection.attempts >= this.#options.maxAttempts) return connection.refuse(error.code);
    if (machine !== null) (connection.tried ??= []).push(machine);
    connection.service = this.#current(connection) ?? connection.service;
    this.open(connection);
  }

  onGateOpen(connection: RoutedConnection): boolean {
    const service = this.#current(connection);
    if (service === undefined) {
      this.#leftGate(connection);
      connection.refuse("no_machine");
      return true;
    }
    connection.service = service;
    connection.tried = null;
    const outcome = this.#options.balancer.claim(service, null);
    if (outcome === "asleep" || outcome === "full") {
      connection.waitsFor = outcome;
      return false;
    }
    const hadToWake = connection.waitsFor === "asleep";
    this.#leftGate(connection);
    if (typeof outcome === "string") {
      connection.refuse(refusalCode(outcome));
      return true;
    }
    if (hadToWake) {
      connection.hadToWake = true;
      this.#options.onServedAfterWake(service, outcome, connection.heldMs);
    }
    this.#attempt(connection, outcome);
    return true;
  }

  leaveGate(connection: RoutedConnection): void {
    this.#options.gate.leave(connection.service, connection);
    this.#leftGate(connection);
  }

  releaseClaim(connection: RoutedConnection): void {
    const { machine } = connection;
    if (machine === null) return;
    connection.machine = null;
    this.#options.places.release(connection.service, machine);
  }

  #attempt(connection: RoutedConnection, machine: EdgeMachine): void {
    const { service } = connection;
    const { balancer, onBusy } = this.#options;
    connection.machine = machine;
    connection.lastMachine = machine;
    connection.attempts++;
    connection.code = null;
    if (service.ranked.hasWakeable && balancer.isBusy(machine, service.softLimit)) onBusy(service);
    connection.attempt(machine);
  }

  #hold(connection: RoutedConnection, waitsFor: "asleep" | "full"): void {
    connection.isWaiting = true;
    connection.waitsFor = waitsFor;
    connection.heldSinceMs = performance.now();
    try {
      this.#options.gate.hold(connection.service, connection);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#leftGate(connection);
      connection.refuse(error.code);
    }
  }

  #leftGate(connection: RoutedConnection): void {
    connection.isWaiting = false;
    connection.heldMs += performance.now() - connection.heldSinceMs;
  }

  /** The service as it is now; undefined when there is none any more. */
  #current({ service }: RoutedConnection): EdgeService | undefined {
    return this.#options.router.app(service.app)?.services.find(({ key }) => key === service.key);
  }
}

function refusalCode(refusal: Exclude<Refusal, "asleep" | "full">): ErrorCode {
  return refusal === "unhealthy" ? "no_healthy_machine" : "no_machine";
}
