// Where requests wait that no machine can take now: asleep, or all at their hard limit. First in, first out, bounded in number and in
// time. The gate asks the main thread to wake a machine once, however many wait; it hears when an app has changed, and lets
// everyone try again in order. DESIGN, "The life of a request", step 5.

import type { LoadTable } from "../catalog/load-table.ts";
import type { Aim, Target } from "../core/aim.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";

/** A service for which requests wait. */
export interface GatedService {
  readonly app: string;
  readonly key: string;
  readonly wakeTimeoutMs: number;
  /** Tells services apart, too. */
  readonly waitSlot: number;
}

export type WaitReason = "asleep" | "full";

export interface Waiting {
  /** Tries to go on. True: it left the gate, if only to be held again. False: it goes on waiting, and so do all behind it. */
  onGateOpen(): boolean;
  onGateFailed(error: ProxyError): void;
  /** Why it waits now. Means something only for whoever has looked: the one in front, and those who looked before they came. */
  readonly waitsFor: WaitReason;
  /** Where it is to go, the same for as long as it waits; those of one target wait in a line of their own. null: wherever there is a place. */
  readonly aim: Aim | null;
}

export interface GateOptions {
  readonly load: LoadTable;
  readonly deadlines: Deadlines;
  /** Requests that may wait for one service at once, over all workers; two that come to two of them at once may be one too many. */
  readonly maxWaiting: number;
  /** Asks the main thread; the answer comes as `onWoken` or `onWakeFailed`. */
  readonly requestWake: (app: string, service: string, target: Target | null) => void;
}

export class Gate {
  readonly #options: GateOptions;
  /** By wait slot. A queue stays when it is empty: it may be listening still, and more than one ear a service would be a leak. */
  readonly #queues = new Map<number, Queue>();
  /** Of those with an aim, by wait slot and target; only as long as somebody waits in them. */
  readonly #aimed = new Map<string, Queue>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Requests that wait now. */
  get size(): number {
    let sum = 0;
    for (const queue of this.#all()) sum += queue.size;
    return sum;
  }

  /** Takes the request in, behind all that wait for the same service. Throws `queue_full`. */
  hold(service: GatedService, waiting: Waiting): void {
    if (waiting.aim !== null) return this.#holdAimed(service, waiting, waiting.aim);
    let queue = this.#queues.get(service.waitSlot);
    if (queue === undefined) {
      queue = new Queue(this.#options, service, null, null);
      this.#queues.set(service.waitSlot, queue);
    }
    queue.add(service, waiting);
  }

  /** The client left, or the request goes another way. */
  leave(service: GatedService, waiting: Waiting): void {
    this.#queue(service, waiting.aim)?.remove(waiting);
  }

  /** Does any request wait for the service? Newcomers then go behind it. */
  isHolding(service: GatedService): boolean {
    return this.waitsFor(service) !== null;
  }

  /** What those who wait for the service with this aim wait for; null when nobody does. */
  waitsFor(service: GatedService, aim: Aim | null = null): WaitReason | null {
    const queue = this.#queue(service, aim);
    return queue === undefined || queue.size === 0 ? null : queue.waitsFor;
  }

  /** The app has a new entry: whoever waits for it tries again. */
  onAppChanged(app: string): void {
    for (const queue of this.#all()) if (queue.service.app === app) queue.retry();
  }

  /** A place on a machine of the service became free in this worker. */
  onReleased(service: GatedService): void {
    this.#queues.get(service.waitSlot)?.retry();
    if (this.#aimed.size === 0) return;
    for (const queue of [...this.#aimed.values()]) if (queue.service.waitSlot === service.waitSlot) queue.retry();
  }

  /** @param key of the target that was to be woken; null for none */
  onWoken(app: string, service: string, key: string | null = null): void {
    for (const queue of this.#all()) if (queue.isFor(app, service, key)) queue.onWoken();
  }

  onWakeFailed(app: string, service: string, error: ProxyError, key: string | null = null): void {
    for (const queue of this.#all()) if (queue.isFor(app, service, key)) queue.onWakeFailed(error);
  }

  #holdAimed(service: GatedService, waiting: Waiting, { target }: Aim): void {
    const key = aimedKey(service, target);
    const queue = this.#aimed.get(key) ?? new Queue(this.#options, service, target, (idle) => this.#forget(key, idle));
    try {
      queue.add(service, waiting);
    } finally {
      // It may be empty again, or still.
      if (queue.isIdle) this.#forget(key, queue);
      else this.#aimed.set(key, queue);
    }
  }

  #forget(key: string, queue: Queue): void {
    if (this.#aimed.get(key) === queue) this.#aimed.delete(key);
  }

  #queue(service: GatedService, aim: Aim | null): Queue | undefined {
    return aim === null ? this.#queues.get(service.waitSlot) : this.#aimed.get(aimedKey(service, aim.target));
  }

  /** A copy where it matters: lines of those with an aim come and go while they are looked at. */
  #all(): Iterable<Queue> {
    return this.#aimed.size === 0 ? this.#queues.values() : [...this.#queues.values(), ...this.#aimed.values()];
  }
}

function aimedKey(service: GatedService, target: Target): string {
  return `${service.waitSlot} ${target.key}`;
}

interface Place {
  readonly waiting: Waiting;
  readonly untilMs: number;
}

/**
 * Those who wait for one service. As long as there are any, something is under way that will let them try again: a wake when they
 * wait for "asleep", an ear for the signals of other workers when they wait for "full".
 */
class Queue implements Timed {
  service: GatedService;
  deadlineMs = Infinity;
  /** Only the one in front looks again and again, so what it waits for, all do. */
  waitsFor: WaitReason = "asleep";
  readonly #options: GateOptions;
  /** Insertion order is arrival order, and leaving from the middle costs nothing. */
  readonly #places = new Map<Waiting, Place>();
  #isWaking = false;
  #isListening = false;
  #isRetrying = false;
  readonly #target: Target | null;
  readonly #onIdle: ((queue: Queue) => void) | null;

  /**
   * @param target that all in it wait for; null: the whole service
   * @param onIdle nobody waits, and nothing is listened for
   */
  constructor(options: GateOptions, service: GatedService, target: Target | null, onIdle: ((queue: Queue) => void) | null) {
    this.#options = options;
    this.service = service;
    this.#target = target;
    this.#onIdle = onIdle;
  }

  get size(): number {
    return this.#places.size;
  }

  get isIdle(): boolean {
    return this.#places.size === 0 && !this.#isListening;
  }

  isFor(app: string, service: string, key: string | null): boolean {
    return this.service.app === app && this.service.key === service && (this.#target?.key ?? null) === key;
  }

  add(service: GatedService, waiting: Waiting): void {
    const { deadlines, load, maxWaiting } = this.#options;
    // A request that was let go on may be back before its turn has ended.
    this.remove(waiting);
    if (load.count(service.waitSlot) >= maxWaiting) throw new ProxyError("queue_full");
    const isFirst = this.#places.size === 0;
    const hasListened = this.#isListening;
    if (isFirst) {
      this.service = service;
      deadlines.add(this);
    }
    const untilMs = deadlines.after(this.service.wakeTimeoutMs);
    this.#places.set(waiting, { waiting, untilMs });
    load.addWaiter(this.service.waitSlot);
    if (this.deadlineMs === Infinity) this.deadlineMs = untilMs;
    if (isFirst || waiting.waitsFor === "full") this.#ask(waiting.waitsFor);
    // An ear from before has not looked again since the wait slot says that somebody waits.
    if (isFirst && hasListened) this.retry();
  }

  remove(waiting: Waiting): void {
    if (!this.#places.delete(waiting)) return;
    this.#options.load.removeWaiter(this.service.waitSlot);
    if (this.#places.size === 0 && !this.#isRetrying) this.#end();
  }

  /** Lets everyone try in order, until one has to go on waiting. A call from within changes nothing: who is next looks anyway. */
  retry(): void {
    if (this.#isRetrying || this.#places.size === 0) return;
    this.#isRetrying = true;
    let front: Waiting | null = null;
    for (const place of this.#places.values()) {
      if (!place.waiting.onGateOpen()) {
        front = place.waiting;
        break;
      }
      if (this.#places.get(place.waiting) === place) this.remove(place.waiting);
    }
    this.#isRetrying = false;
    if (this.#places.size === 0) this.#end();
    else if (front !== null) this.#ask(front.waitsFor);
  }

  onWoken(): void {
    this.#isWaking = false;
    this.retry();
  }

  /** Refuses those who wait for the wake that failed, but not who comes while they leave. */
  onWakeFailed(error: ProxyError): void {
    this.#isWaking = false;
    if (this.waitsFor !== "asleep") return;
    for (const place of [...this.#places.values()]) {
      // The end of one request may have let another go on.
      if (this.#places.get(place.waiting) !== place) continue;
      this.remove(place.waiting);
      place.waiting.onGateFailed(error);
    }
    this.retry();
  }

  onDeadline(): void {
    const { nowMs } = this.#options.deadlines;
    for (const { waiting, untilMs } of this.#places.values()) {
      if (untilMs > nowMs) {
        this.deadlineMs = untilMs;
        return;
      }
      this.remove(waiting);
      waiting.onGateFailed(new ProxyError(this.waitsFor === "full" ? "at_capacity" : "wake_timeout"));
    }
  }

  #ask(reason: WaitReason): void {
    this.waitsFor = reason;
    if (reason === "full") void this.#listen();
    else if (!this.#isWaking) {
      this.#isWaking = true;
      this.#options.requestWake(this.service.app, this.service.key, this.#target);
    }
  }

  /** Waits for places that other workers give back. Ends at the first signal that finds nobody waiting. */
  async #listen(): Promise<void> {
    if (this.#isListening) return;
    this.#isListening = true;
    const { load } = this.#options;
    const slot = this.service.waitSlot;
    while (this.#places.size > 0) {
      const seen = load.signals(slot);
      this.retry();
      await load.waitForSignal(slot, seen);
    }
    this.#isListening = false;
    if (this.isIdle) this.#onIdle?.(this);
  }

  #end(): void {
    this.deadlineMs = Infinity;
    this.#isWaking = false;
    this.#options.deadlines.remove(this);
    if (this.isIdle) this.#onIdle?.(this);
  }
}
