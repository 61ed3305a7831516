// Hot path. How a request, or a connection that carries none, comes by a place on a machine: claimed at once, or waited for at the gate.
// What becomes of it there is its own business; a place is given back by whoever was given it. Where no machine can be reached it waits,
// and tries all of them again.

import type { Aim, Target } from "../core/aim.ts";
import type { Deadlines } from "../core/deadlines.ts";
import { ERRORS, ProxyError, type ErrorCode } from "../core/errors.ts";
import { AimedClaims } from "../routing/aim.ts";
import type { Balancer, Refusal } from "../routing/balancer.ts";
import type { Router } from "../routing/router.ts";
import type { Gate, Waiting } from "../wake/gate.ts";
import type { WordOnSleep } from "./asleep.ts";
import { BackOff } from "./back-off.ts";
import { narrowed, type EdgeApp, type EdgeMachine, type EdgeService } from "./edge-app.ts";
import type { Places } from "./places.ts";

/** What wants to get to a machine. All fields but `service`, `tried` and `aim` are written here alone. */
export interface Attempted extends Waiting {
  /** Set by the time it is routed. */
  service: EdgeService | null;
  /** The machine that a place is claimed on. */
  machine: EdgeMachine | null;
  lastMachine: EdgeMachine | null;
  /** Machines that failed it, since it waited last. */
  tried: EdgeMachine[] | null;
  /** What is known by now not to lead anywhere is taken off its front here. */
  aim: Aim | null;
  attempts: number;
  /** A machine may have begun to work on it: it goes to each once at most. */
  readonly wasSeen: boolean;
  /** null: no need of it so far. */
  backOff: BackOff | null;
  /** At the gate. */
  isWaiting: boolean;
  waitsFor: "asleep" | "full";
  heldSinceMs: number;
  heldMs: number;
  hadToWake: boolean;
  /** Why the last attempt failed. */
  code: ErrorCode | null;
  /** It would wait for a machine to wake, and its app has a word on that. */
  onAsleep(): WordOnSleep;
  /** A place on the machine is claimed for it. */
  attempt(machine: EdgeMachine): void;
  /** There is no machine for it. */
  refuse(code: ErrorCode): void;
  /** It has waited, and is to be routed anew. */
  onBackedOff(): void;
}

export interface AttemptsOptions {
  readonly router: Router<EdgeService, EdgeApp>;
  readonly balancer: Balancer;
  readonly gate: Gate;
  readonly places: Places;
  readonly deadlines: Deadlines;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** For one request or connection. */
  readonly maxAttempts: number;
  /** Most that wait between attempts at once, in this worker. */
  readonly maxWaiting: number;
  /**
   * All running machines are above their soft limit and another could be woken. Called often; the receiver thins it out. With a target
   * that is so of its machines, which are all that the service has here.
   */
  readonly onBusy: (service: EdgeService, target: Target | null) => void;
  /** Every machine that runs fails its checks, and the best of them is tried. Called often; the receiver thins it out. */
  readonly onPanic: (service: EdgeService, machine: EdgeMachine) => void;
  /** A machine answers that is further off than one that sleeps. Called often, as `onBusy`. */
  readonly onDetour: (service: EdgeService) => void;
  /** One that waited for a machine to wake is on its way to it. */
  readonly onServedAfterWake: (service: EdgeService, machine: EdgeMachine, heldMs: number) => void;
}

/** How long nobody waits for a nearer machine that could not be woken. */
const NOT_NEAR_MS = 5000;

export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #aimed: AimedClaims<EdgeMachine, EdgeService>;
  /** How many wait between attempts. */
  #backingOff = 0;
  /** By wait slot, until when requests go to what is awake, because a wake of what is nearer has failed; clock of performance.now(). */
  readonly #notNearUntilMs = new Map<number, number>();

  constructor(options: AttemptsOptions) {
    this.#options = options;
    this.#aimed = new AimedClaims(options.balancer, narrowed);
  }

  /** What became of the wake that requests of the service waited for: where what is nearer still sleeps, they go further for a while. */
  onWakeOver(app: string, key: string): void {
    const service = this.#service(app, key);
    if (service === undefined) return;
    if (service.detour === "wait" || isHomeAsleep(service)) this.#notNearUntilMs.set(service.waitSlot, performance.now() + NOT_NEAR_MS);
    else this.#notNearUntilMs.delete(service.waitSlot);
  }

  /** What somebody waits for who waits for a machine to wake. */
  wakeReason(app: string, key: string): "asleep" | "near" {
    return this.#service(app, key)?.detour === "wait" ? "near" : "asleep";
  }

  /** To a machine that it has not tried, or to the gate. */
  route(one: Attempted): void {
    const service = one.service!;
    const { gate } = this.#options;
    // Who comes now must not overtake those who wait.
    const waitsFor = one.tried === null ? gate.waitsFor(service, one.aim) : null;
    if (waitsFor !== null) return this.#hold(one, waitsFor);
    if (one.aim !== null) return this.#routeAimed(one, one.aim);
    if (service.detour === "wait" && one.tried === null && this.#waitsForNear(service)) return this.#hold(one, "asleep");
    const outcome = this.#claim(service, one.tried);
    if (typeof outcome !== "string") return this.#attempt(one, outcome);
    // It has waited for a wake that failed, or there was none to wait for.
    if (isInPanic(one)) return this.#attemptWithoutWake(one, "no_healthy_machine");
    if (outcome === "asleep" || outcome === "full") return this.#hold(one, outcome);
    this.#attemptWithEjected(one, one.code ?? refusalCode(outcome));
  }

  /**
   * Another attempt, where another one is allowed. Its place was given back.
   *
   * @param machine the one that failed; null: the failure says nothing about it
   */
  again(one: Attempted, error: ProxyError, machine: EdgeMachine | null): void {
    if (one.attempts >= this.#options.maxAttempts) return one.refuse(isInPanic(one) ? "no_healthy_machine" : error.code);
    if (machine !== null) (one.tried ??= []).push(machine);
    one.code = error.code;
    // Each costs the client a time-out, so that there are not as many of them as of refusals, which cost nothing.
    if (error.code === "connect_timeout" && !this.#backOffOf(one).outlasts())
      return one.refuse(isInPanic(one) ? "no_healthy_machine" : error.code);
    // One attempt, one picture of the app: the failure may be how its change shows first.
    one.service = this.current(one) ?? one.service;
    this.route(one);
  }

  /** It is over: it waits no more, and its place is given back. */
  leave(one: Attempted): void {
    if (one.isWaiting) this.leaveGate(one);
    if (one.backOff?.isWaiting === true) {
      one.backOff.stop();
      this.#backingOff--;
    }
    this.releaseClaim(one);
  }

  /** The gate gave up on it: what is left is what its aim has behind this, or a machine that fails its checks. */
  onGateFailed(one: Attempted, error: ProxyError): void {
    this.leaveGate(one);
    one.service = this.current(one) ?? one.service;
    // It has waited long enough, whatever failed before.
    one.code = null;
    const orElse = one.aim?.orElse ?? null;
    if (orElse === null || error.code === "draining") return this.#attemptWithoutWake(one, error.code);
    one.aim = orElse;
    this.route(one);
  }

  /** The gate is open, and the service is this by now. False: it has to wait on. */
  goOn(one: Attempted, service: EdgeService): boolean {
    one.service = service;
    one.tried = null;
    if (service.detour === "wait" && one.aim === null && this.#waitsForNear(service)) {
      one.waitsFor = "asleep";
      return false;
    }
    const { aim } = one;
    const aimed = aim === null ? null : this.#aimed.claim(service, null, aim);
    const outcome = aimed === null ? this.#claim(service, null) : aimed.outcome;
    if (outcome === "asleep" || outcome === "full") {
      // It waits for something else from now on, and so in another line.
      if (aimed !== null && aimed.aim !== aim) {
        this.endWait(one);
        this.#holdAimed(one, outcome, aimed.aim);
        return true;
      }
      one.waitsFor = outcome;
      return false;
    }
    const hadToWake = one.waitsFor === "asleep";
    this.endWait(one);
    if (typeof outcome === "string") {
      one.refuse(refusalCode(outcome));
      return true;
    }
    if (hadToWake) {
      one.hadToWake = true;
      this.#options.onServedAfterWake(service, outcome, one.heldMs);
    }
    this.#attempt(one, outcome);
    return true;
  }

  /** Out of the gate, without having been asked. */
  leaveGate(one: Attempted): void {
    this.#options.gate.leave(one.service!, one);
    this.endWait(one);
  }

  /** The gate has let go of it. */
  endWait(one: Attempted): void {
    one.isWaiting = false;
    one.heldMs += performance.now() - one.heldSinceMs;
  }

  /** The machine has answered, or taken the connection, so long after it was asked. */
  observe({ machine }: Attempted, ms: number): void {
    if (machine !== null) this.#options.balancer.observe(machine, ms);
  }

  releaseClaim(one: Attempted): void {
    const { machine } = one;
    if (machine === null) return;
    one.machine = null;
    this.#options.places.release(one.service!, machine);
  }

  /** Its service as it is now; undefined when there is none any more. */
  current({ service }: Attempted): EdgeService | undefined {
    return this.#service(service!.app, service!.key);
  }

  #service(app: string, key: string): EdgeService | undefined {
    return this.#options.router.app(app)?.services.find((service) => service.key === key);
  }

  #claim(service: EdgeService, tried: readonly EdgeMachine[] | null): EdgeMachine | Refusal {
    const { balancer } = this.#options;
    const outcome = balancer.claim(service, tried);
    if (outcome !== "asleep" || !isHomeAsleep(service) || this.#waitsForNear(service)) return outcome;
    return balancer.claim({ ...service, ranked: service.ranked.withoutWake! }, tried);
  }

  #routeAimed(one: Attempted, aim: Aim): void {
    const { outcome, aim: part } = this.#aimed.claim(one.service!, one.tried, aim);
    if (typeof outcome !== "string") return this.#attempt(one, outcome);
    if (isInPanic(one)) return this.#attemptWithoutWake(one, "no_healthy_machine");
    if (outcome === "asleep" || outcome === "full") return this.#holdAimed(one, outcome, part);
    this.#attemptWithEjected(one, one.code ?? refusalCode(outcome));
  }

  #attempt(one: Attempted, machine: EdgeMachine): void {
    const service = one.service!;
    const { balancer, onDetour, onPanic } = this.#options;
    one.machine = machine;
    one.lastMachine = machine;
    one.attempts++;
    one.code = null;
    if (machine.health === "critical") onPanic(service, machine);
    if (service.ranked.hasWakeable && balancer.isBusy(machine, service.softLimit)) this.#askForMore(one);
    if (service.detour === "detour" && one.aim === null) onDetour(service);
    one.attempt(machine);
  }

  /** What runs is busy: another one is to be woken, where there is one among those that it may go to (reference sections 3.2 and 6.2). */
  #askForMore(one: Attempted): void {
    const service = this.#aimedAt(one);
    if (service.ranked.hasWakeable) this.#options.onBusy(service, one.aim?.target ?? null);
  }

  #waitsForNear({ waitSlot }: EdgeService): boolean {
    const untilMs = this.#notNearUntilMs.get(waitSlot);
    return untilMs === undefined || performance.now() >= untilMs;
  }

  /** What is left is a machine that fails its checks. */
  #attemptWithoutWake(one: Attempted, code: ErrorCode): void {
    this.#attemptBy(this.#aimedAt(one).ranked.withoutWake, one, code);
  }

  /** It may wake nothing: it goes to what is awake behind what it would have waited for. */
  #goWithoutWake(one: Attempted): void {
    const { aim } = one;
    if (aim !== null && aim.orElse !== null) {
      one.aim = aim.orElse;
      return this.route(one);
    }
    const outcome = aim === null && one.service!.detour === "wait" ? this.#options.balancer.claim(one.service!, one.tried) : "none";
    if (typeof outcome === "string") this.#attemptWithoutWake(one, "too_many_wakes");
    else this.#attempt(one, outcome);
  }

  /** What is left is a machine that was ejected. */
  #attemptWithEjected(one: Attempted, code: ErrorCode): void {
    this.#attemptBy(this.#aimedAt(one).rankedWithEjected, one, code);
  }

  #aimedAt(one: Attempted): EdgeService {
    return one.aim === null ? one.service! : this.#aimed.part(one.service!, one.aim.target);
  }

  #attemptBy(ranked: EdgeService["ranked"] | null, one: Attempted, code: ErrorCode): void {
    const outcome = ranked === null ? "none" : this.#options.balancer.claim({ ...one.service!, ranked }, one.tried);
    if (typeof outcome === "string") this.#giveUp(one, code);
    else this.#attempt(one, outcome);
  }

  #holdAimed(one: Attempted, waitsFor: "asleep" | "full", part: Aim): void {
    one.aim = part;
    this.#hold(one, waitsFor);
  }

  /** No machine is left. Those that could not be reached may be back in a while. */
  #giveUp(one: Attempted, code: ErrorCode): void {
    const wasUnreached = one.code !== null && ERRORS[one.code].retry === "elsewhere" && !one.wasSeen;
    if (!wasUnreached || !this.#beginBackOff(one)) one.refuse(code);
  }

  #beginBackOff(one: Attempted): boolean {
    if (this.#backingOff >= this.#options.maxWaiting || !this.#backOffOf(one).begin(this.#backingOff)) return false;
    this.#backingOff++;
    return true;
  }

  #backOffOf(one: Attempted): BackOff {
    const { deadlines, random } = this.#options;
    return (one.backOff ??= new BackOff({
      deadlines,
      random,
      withinMs: one.service!.wakeTimeoutMs,
      onOver: () => this.#onBackedOff(one),
    }));
  }

  #onBackedOff(one: Attempted): void {
    this.#backingOff--;
    one.tried = null;
    one.onBackedOff();
  }

  #hold(one: Attempted, waitsFor: "asleep" | "full"): void {
    // Who has waited already has been asked.
    if (waitsFor === "asleep" && one.service!.hasWordOnSleep && one.heldMs === 0) {
      const word = one.onAsleep();
      if (word === "answered") return;
      if (word === "not_woken") return this.#goWithoutWake(one);
    }
    one.isWaiting = true;
    one.waitsFor = waitsFor;
    one.heldSinceMs = performance.now();
    // Whoever took the last place has asked for another machine, but that may have been in vain, or long ago.
    if (waitsFor === "full") this.#askForMore(one);
    try {
      this.#options.gate.hold(one.service!, one);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.endWait(one);
      one.refuse(error.code);
    }
  }
}

/** With "local-preferred": nothing runs at home, where something could be waited for, and something does elsewhere. */
function isHomeAsleep({ ranked: { homeGroups, withoutWake } }: EdgeService): boolean {
  return homeGroups === 0 && withoutWake !== null && !withoutWake.isPanic;
}

/** Was it sent to a machine that fails its checks, because all that ran did? */
export function isInPanic({ lastMachine }: { readonly lastMachine: EdgeMachine | null }): boolean {
  return lastMachine !== null && lastMachine.health === "critical";
}

function refusalCode(refusal: Exclude<Refusal, "asleep" | "full">): ErrorCode {
  return refusal === "unhealthy" ? "no_healthy_machine" : "no_machine";
}
