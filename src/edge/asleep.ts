// What becomes of requests and connections that find their app asleep, where the app has a word on that: an answer of the edge's own, a refusal of
// clients that wake it too often, a page for browsers. All others wait at the gate. Step 5 in the life of a request, just before the gate.

import type { LoadTable } from "../catalog/load-table.ts";
import { type Aim, isInTarget, type Target } from "../core/aim.ts";
import type { SleepAnswer } from "../core/app.ts";
import type { Deadlines } from "../core/deadlines.ts";
import { ProxyError, type ErrorCode } from "../core/errors.ts";
import { isWakeable } from "../core/machine.ts";
import { WORTH_A_PAGE_MS } from "../routing/detour.ts";
import type { Router } from "../routing/router.ts";
import type { Gate } from "../wake/gate.ts";
import type { OwnField } from "./client-channel.ts";
import type { EdgeApp, EdgeMachine, EdgeService } from "./edge-app.ts";
import type { Exchange } from "./exchange.ts";
import { isNavigation } from "./navigation.ts";
import { FOR_NOW } from "./respond.ts";
import { WAIT_PAGE_POLICY, WAKE_PATH, waitPage } from "./wait-page.ts";
import { WakeStream, type WakeProgress } from "./wake-stream.ts";

export interface AsleepOptions {
  readonly router: Router<EdgeService, EdgeApp>;
  readonly gate: Gate;
  readonly load: LoadTable;
  readonly deadlines: Deadlines;
  /** Asks the main thread, as the gate does; the answer comes as `onWakeOver`. */
  readonly requestWake: (app: string, service: string, target: Target | null) => void;
}

/**
 * - waits: at the gate
 * - answered: it is over
 * - not_woken: nothing is woken for it, so it goes to what is awake, if anything is
 */
export type WordOnSleep = "waits" | "answered" | "not_woken";

/** Streams of one service, in this worker; what is more loads its page anew every few seconds. */
const MOST_STREAMS = 100;
/** Wakes that were asked for here and not answered, each with a target of its own. */
const MOST_ASKED = 1000;
/** For so long after a wake has failed a browser is told so instead of waiting for the next, as all others are. */
const FAILED_MS = 5000;

const FIELDS: readonly OwnField[] = [["kittiwake-asleep", "1"], ...FOR_NOW];
const TEXT: readonly OwnField[] = [["content-type", "text/plain; charset=utf-8"], ...FIELDS];

const ANSWERS: Readonly<Record<SleepAnswer, { readonly status: number; readonly body: string }>> = {
  // Crawlers take a 5xx for "nothing is allowed", and after some weeks for the end of the site (RFC 9309 section 2.3.1.4).
  robots: { status: 200, body: "User-agent: *\nDisallow:\n" },
  favicon: { status: 404, body: "" },
  "health-checks": { status: 200, body: "asleep\n" },
};

export class Asleep {
  readonly #options: AsleepOptions;
  /** By service and target, since when; clock of performance.now(), as all times here. */
  readonly #asked = new Map<string, number>();
  /** By service and target, what came of the last wake, and when. */
  readonly #failed = new Map<string, { readonly code: ErrorCode; readonly ms: number }>();
  readonly #streams = new Map<Exchange, { readonly stream: WakeStream; readonly service: EdgeService }>();

  constructor(options: AsleepOptions) {
    this.#options = options;
  }

  /** A request that would wait for a machine to wake. */
  meets(exchange: Exchange): WordOnSleep {
    const service = exchange.service!;
    const { sentHead: head, aim } = exchange;
    if (service.wakeGuard !== null && !this.#isUnderWay(service, aim)) {
      // With a detour that waits there is one awake, which they would wake as any request does.
      const answer = service.detour === "wait" && aim === null ? null : service.wakeGuard.answer(head);
      if (answer !== null) {
        const { status, body } = ANSWERS[answer];
        exchange.answer(status, body === "" ? FIELDS : TEXT, body);
        return "answered";
      }
      if (!service.wakeGuard.mayWake(exchange.client.ip)) return "not_woken";
    }
    // A replay's target has no streams on the host that was asked for.
    if (!service.waitPage || exchange.steered !== null || !isNavigation(head)) return "waits";
    return this.#showPage(exchange, service, aim);
  }

  /** The like for a connection without HTTP. */
  meetsConnection(service: EdgeService, ip: string): WordOnSleep {
    if (service.wakeGuard === null || this.#isUnderWay(service, null)) return "waits";
    return service.wakeGuard.mayWake(ip) ? "waits" : "not_woken";
  }

  /** A request to an app with a page. True: it is the page's own, and will be told of the wake. */
  opensStream(exchange: Exchange): boolean {
    const { head } = exchange;
    if (head.target !== WAKE_PATH || head.method !== "GET" || head.body !== "none") return false;
    const service = exchange.service!;
    const aim = this.#part(service, exchange.aim);
    const found = this.#look(service, aim);
    if (found !== true && found !== null) {
      exchange.refuse(found);
      return true;
    }
    if (found === null && !this.#maySee(exchange, service, aim)) return true;
    const begunMs = this.#asked.get(keyOf(service, aim)) ?? performance.now();
    const stream = new WakeStream({
      exchange,
      aim,
      deadlines: this.#options.deadlines,
      progress: () => this.#progress(service, aim, begunMs),
      look: () => this.#lookAgain(service, aim),
      onFailed: ({ code }) => (this.#lookAgain(service, aim) === true || this.#isNearOnly(service, aim) ? true : code),
    });
    this.#streams.set(exchange, { stream, service });
    stream.begin();
    if (found === true) stream.end(true);
    else this.#hold(service, stream);
    return true;
  }

  /** An exchange is over; it may have been a stream. */
  onDone(exchange: Exchange): void {
    if (this.#streams.size === 0) return;
    const found = this.#streams.get(exchange);
    if (found === undefined) return;
    this.#streams.delete(exchange);
    found.stream.stop();
    this.#options.gate.leave(found.service, found.stream);
  }

  /** @param code why it failed; null: it did not */
  onWakeOver(app: string, service: string, target: string | null, code: ErrorCode | null): void {
    const key = `${app} ${service} ${target ?? ""}`;
    this.#asked.delete(key);
    this.#failed.delete(key);
    if (code === null) return;
    this.#failed.set(key, { code, ms: performance.now() });
    for (const oldest of this.#failed.keys()) {
      if (this.#failed.size <= MOST_ASKED) break;
      this.#failed.delete(oldest);
    }
  }

  #showPage(exchange: Exchange, service: EdgeService, aim: Aim | null): WordOnSleep {
    const nowMs = performance.now();
    const key = keyOf(service, aim);
    const failed = this.#failed.get(key);
    if (failed !== undefined && nowMs - failed.ms < FAILED_MS && !this.#isUnderWay(service, aim)) {
      exchange.refuse(failed.code);
      return "answered";
    }
    const begunMs = this.#asked.get(key) ?? nowMs;
    const { elapsedMs, leftMs } = this.#progress(service, aim, begunMs);
    // One that takes longer than it should may take any time.
    const isLate = leftMs === 0 && elapsedMs > WORTH_A_PAGE_MS;
    if (leftMs <= WORTH_A_PAGE_MS && !isLate) return "waits";
    if (!this.#ask(service, aim)) return "waits";
    const body = waitPage({ app: service.app, leftMs, elapsedMs, requestId: exchange.id });
    const fields: OwnField[] = [
      ["content-type", "text/html; charset=utf-8"],
      ["content-security-policy", WAIT_PAGE_POLICY],
      ["referrer-policy", "no-referrer"],
      ["x-robots-tag", "noindex"],
      ["retry-after", `${Math.max(Math.ceil(leftMs / 1000), 1)}`],
      ...FIELDS,
    ];
    exchange.answer(503, fields, body);
    return "answered";
  }

  /** A stream that has to wait: may it? Otherwise it is refused. */
  #maySee(exchange: Exchange, service: EdgeService, aim: Aim | null): boolean {
    let count = 0;
    for (const other of this.#streams.values()) if (other.service.waitSlot === service.waitSlot) count++;
    if (count >= MOST_STREAMS) exchange.refuse("queue_full");
    else if (service.wakeGuard !== null && !this.#isUnderWay(service, aim) && !service.wakeGuard.mayWake(exchange.client.ip)) {
      exchange.refuse("too_many_wakes");
    }
    return exchange.state !== "done";
  }

  #hold(service: EdgeService, stream: WakeStream): void {
    try {
      this.#options.gate.hold(service, stream);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      // Its page connects again by itself.
      stream.end(null);
    }
  }

  /** Wakes a machine for a page. False: too much is asked for already. */
  #ask(service: EdgeService, aim: Aim | null): boolean {
    const key = keyOf(service, aim);
    if (this.#asked.has(key)) return true;
    if (this.#asked.size >= MOST_ASKED) return false;
    this.#asked.set(key, performance.now());
    this.#options.requestWake(service.app, service.key, aim?.target ?? null);
    return true;
  }

  /** Would one more who waits cause no wake? One that runs, and was about to sleep, is only opened again. */
  #isUnderWay(service: EdgeService, aim: Aim | null): boolean {
    const { gate, load } = this.#options;
    if (gate.waitsFor(service, aim) === "asleep" || this.#asked.has(keyOf(service, aim))) return true;
    if (aim === null && (service.ranked.hasStarting || load.count(service.waitSlot) > 0)) return true;
    return this.#meant(service, aim).some(({ state }) => state === "starting" || state === "started");
  }

  /** Machines that could end the wait: of those that run, none that fails its checks, or that `region_policy` rules out, or that is further off than what is waited for. */
  #meant(service: EdgeService, aim: Aim | null): EdgeMachine[] {
    const { machines, ranked } = service;
    if (aim !== null) {
      const inTarget = machines.filter((machine) => !machine.cordoned && isInTarget(aim.target, machine));
      return inTarget.filter(({ state, health }) => state !== "started" || health !== "critical");
    }
    const running = this.#isNearOnly(service, aim) ? [] : ranked.groups.slice(0, ranked.reach).flat();
    return [...running, ...machines.filter(({ state, cordoned }) => state !== "started" && !cordoned)];
  }

  #progress(service: EdgeService, aim: Aim | null, begunMs: number): WakeProgress {
    const elapsedMs = performance.now() - begunMs;
    const expectedMs = this.#meant(service, aim).reduce((least, { wakeMs }) => Math.min(least, wakeMs), Infinity);
    return { elapsedMs, leftMs: expectedMs === Infinity ? 0 : Math.max(expectedMs - elapsedMs, 0) };
  }

  /** What of an aim can serve, or be waited for: the first such target, as claims go along it (routing/aim.ts). */
  #part(service: EdgeService, aim: Aim | null): Aim | null {
    for (let one = aim; one !== null; one = one.orElse) if (one.orElse === null || this.#look(service, one) !== "no_machine") return one;
    return null;
  }

  #lookAgain(before: EdgeService, aim: Aim | null): true | ErrorCode | null {
    const service = this.#options.router.app(before.app)?.services.find(({ key }) => key === before.key);
    return service === undefined ? "no_machine" : this.#look(service, aim);
  }

  /** true: a machine can serve. Otherwise why none ever will, or null: not yet. */
  #look(service: EdgeService, aim: Aim | null): true | ErrorCode | null {
    const { autoStart, ranked, machines } = service;
    if (aim === null) {
      const isUp = ranked.groups.slice(0, ranked.reach).some((group) => group.some((machine) => this.#isOpen(machine)));
      if (isUp && !this.#isNearOnly(service, aim)) return true;
      return isUp || ranked.hasWakeable || ranked.hasStarting || ranked.groups.length > 0 ? null : "no_machine";
    }
    const meant = machines.filter((machine) => !machine.cordoned && isInTarget(aim.target, machine));
    if (meant.some((machine) => machine.pool !== null && machine.health !== "critical" && this.#isOpen(machine))) return true;
    const isAwaitable = ({ state }: EdgeMachine): boolean => state === "starting" || state === "started" || (autoStart && canWake(state));
    return meant.some(isAwaitable) ? null : "no_machine";
  }

  #isOpen({ slot }: EdgeMachine): boolean {
    return !this.#options.load.isClosed(slot);
  }

  /** What is awake is further off than what is waited for. */
  #isNearOnly({ detour }: EdgeService, aim: Aim | null): boolean {
    return detour === "wait" && aim === null;
  }
}

function canWake(state: EdgeMachine["state"]): boolean {
  return isWakeable(state) || state === "stopping" || state === "suspending";
}

function keyOf({ app, key }: EdgeService, aim: Aim | null): string {
  return `${app} ${key} ${aim?.target.key ?? ""}`;
}
