// The data-plane threads as the main thread sees them: started, told of every change, asked what they counted, and replaced when one dies.

import { Worker } from "node:worker_threads";
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "../core/backoff.ts";
import { ProxyError } from "../core/errors.ts";
import type { AppEntry } from "../catalog/entry.ts";
import type { WorkerChallenge } from "../certs/stored-challenge.ts";
import type { HttpsPorts } from "../edge/redirects.ts";
import type { TrafficReport } from "../telemetry/traffic.ts";
import type { FromWorker, ListenRequest, ToWorker, WorkerData } from "./worker-messages.ts";

export interface WorkerPoolOptions {
  readonly count: number;
  readonly data: Omit<WorkerData, "index" | "ticketKeys" | "cookieKeys">;
  /** Those in force now; workers that are up are told of a change. */
  readonly ticketKeys: () => Uint8Array;
  /** Likewise. */
  readonly cookieKeys: () => readonly Uint8Array[];
  /** All apps as they are now: what a new worker is told first. */
  readonly entries: () => readonly AppEntry[];
  /** What it is told next. */
  readonly challenges: () => readonly WorkerChallenge[];
  /** Everything but what the pool answers itself. */
  readonly onMessage: (worker: number, message: FromWorker) => void;
  /** The thread has ended; nothing of it runs any more. Called before its replacement starts. */
  readonly onDied: (worker: number, reason: string) => void;
  readonly random: () => number;
}

/** A port that could not be bound. */
export interface ListenFailure {
  readonly request: ListenRequest;
  readonly code: string;
  readonly message: string;
}

interface Member {
  readonly index: number;
  thread: Worker;
  restarts: number;
  /** Deaths since it last ran for a while. */
  failures: number;
  startedMs: number;
  isReady: boolean;
  report: TrafficReport | null;
  /** What its thread was asked to listen on, by key. */
  asked: Map<string, { readonly port: number; readonly outcome: Promise<number | ListenFailure> }>;
}

/** What a request needs is garbage right after it: a larger nursery would take memory, and the processor's caches, for nothing. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 16 };
const BACKOFF = { minMs: 50, maxMs: 10_000 };
const STEADY_MS = 30_000;
/** What a worker that dies takes with it are the counts of this long at most; so old may be what the status says of it. */
const REPORT_EVERY_MS = 1000;
/** A worker that does not answer in time is left out of a report, so that a scrape never hangs. */
const REPORT_MS = 1000;
/** One that does not take its messages in time is dead or stuck, and nobody waits for it. */
const TAKEN_MS = 1000;
/** A draining worker ends by its own time-out; this is for one that does not even do that. */
const DRAIN_GRACE_MS = 5000;

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #members: Member[] = [];
  /** What every worker listens on, with the port that is really bound. */
  readonly #listens = new Map<string, ListenRequest>();
  readonly #waiters = new Set<(worker: number, message: FromWorker) => void>();
  #httpsPorts: HttpsPorts = { boundHttp: 80, boundHttps: 443 };
  #lastMark = 0;
  readonly #diedAtStart = Promise.withResolvers<never>();
  #reporting: NodeJS.Timeout | undefined;
  #hasStarted = false;
  #isStopping = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    // Whoever waits in `start` hears of it; once that is over nobody does.
    this.#diedAtStart.promise.catch(() => {});
  }

  get isReady(): boolean {
    return !this.#isStopping && this.#members.length > 0 && this.#members.every((member) => member.isReady);
  }

  get members(): readonly { readonly index: number; readonly restarts: number; readonly report: TrafficReport | null }[] {
    return this.#members;
  }

  /** Throws `internal` when a worker dies before all have started. */
  async start(): Promise<void> {
    for (let index = 0; index < this.#options.count; index++) {
      const member = { index, restarts: 0, failures: 0, startedMs: 0, isReady: false, report: null, asked: new Map() } as unknown as Member;
      this.#members.push(member);
      this.#spawn(member);
    }
    const started = this.#members.map((member) => this.#until(member.index, (message) => message.type === "started"));
    // One that cannot even start would only be replaced by others that cannot.
    await Promise.race([Promise.all(started), this.#diedAtStart.promise]);
    for (const member of this.#members) member.isReady = true;
    this.#hasStarted = true;
    this.#reporting = setInterval(() => this.broadcast({ type: "report" }), REPORT_EVERY_MS).unref();
  }

  send(worker: number, message: ToWorker): void {
    this.#members[worker]?.thread.postMessage(message);
  }

  broadcast(message: ToWorker): void {
    for (const { thread } of this.#members) thread.postMessage(message);
  }

  /** Resolves when the workers have taken what they were sent until now, or one of them does not in time. Its replacement is told everything. */
  taken(): Promise<void> {
    const mark = ++this.#lastMark;
    const pending = new Set(this.#members.map(({ index }) => index));
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve();
      };
      const waiter = (from: number, message: FromWorker): void => {
        if (message.type !== "taken" || message.mark !== mark) return;
        pending.delete(from);
        if (pending.size === 0) end();
      };
      const timer = setTimeout(end, pending.size === 0 ? 0 : TAKEN_MS);
      this.#waiters.add(waiter);
      this.broadcast({ type: "mark", mark });
    });
  }

  /** Has every worker listen on a port; resolves to the bound one. The first worker decides where any free port will do. */
  async listen(request: ListenRequest): Promise<number | ListenFailure> {
    const { key } = request;
    // A worker that dies before it can answer is not asked again: its replacement must know by itself.
    this.#listens.set(key, request);
    const first = await this.#listenOn(0, request);
    const bound = typeof first === "number" ? { ...request, port: first } : request;
    this.#listens.set(key, bound);
    const others = typeof first === "number" ? this.#members.slice(1).map(({ index }) => this.#listenOn(index, bound)) : [];
    const failure = [first, ...(await Promise.all(others))].find((outcome) => typeof outcome !== "number");
    if (failure === undefined) return bound.port;
    // Nobody shall listen where not all can.
    this.unlisten(key);
    return failure;
  }

  unlisten(key: string): void {
    this.#listens.delete(key);
    for (const { asked } of this.#members) asked.delete(key);
    this.broadcast({ type: "unlisten", key });
  }

  setHttpsPorts(ports: HttpsPorts): void {
    this.#httpsPorts = ports;
    this.broadcast({ type: "https_ports", ports });
  }

  /** What all workers counted since they were last asked. */
  async collect(): Promise<TrafficReport[]> {
    const reports = this.#members.map(async (member) => {
      const answer = this.#until(member.index, (message) => message.type === "report");
      member.thread.postMessage({ type: "report" } satisfies ToWorker);
      const message = await Promise.race([answer, delay(REPORT_MS, null, { ref: false })]);
      return message?.type === "report" ? message.report : null;
    });
    return (await Promise.all(reports)).filter((report) => report !== null);
  }

  /** For tests: has so much time pass for the time-outs of all workers, and resolves when what was due has happened. */
  async passTime(ms: number): Promise<void> {
    const passed = this.#members.map(({ index }) => this.#until(index, (message) => message.type === "time_passed"));
    this.broadcast({ type: "pass_time", ms });
    await Promise.all(passed);
  }

  /** Lets every worker finish what it does, bounded, and ends it. What they counted last reaches `onMessage`. */
  async stop(drainMs: number): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#reporting);
    const ends = this.#members.map(async ({ index, thread }) => {
      // A thread that has ended has no id any more.
      if (thread.threadId === -1) return;
      const ended = new Promise((resolve) => thread.once("exit", resolve));
      const drained = this.#until(index, (message) => message.type === "drained");
      thread.postMessage({ type: "drain" } satisfies ToWorker);
      await Promise.race([drained, ended, delay(drainMs + DRAIN_GRACE_MS, null, { ref: false })]);
      await thread.terminate();
    });
    await Promise.all(ends);
  }

  #spawn(member: Member): void {
    const { data, ticketKeys, cookieKeys } = this.#options;
    const workerData: WorkerData = { ...data, index: member.index, ticketKeys: ticketKeys(), cookieKeys: cookieKeys() };
    // Its file has the ending of this one: .ts from source, .js in the package.
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
    const options = { workerData, name: `worker-${member.index}`, resourceLimits: RESOURCE_LIMITS };
    const thread = new Worker(new URL(`../start-worker${extension}`, import.meta.url), options);
    member.thread = thread;
    member.asked = new Map();
    member.startedMs = performance.now();
    let reason = "it ended";
    thread.on("message", (message: FromWorker) => this.#onMessage(member, message));
    thread.on("error", (error) => {
      reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    thread.on("exit", () => void this.#onExit(member, reason));
    thread.postMessage({ type: "https_ports", ports: this.#httpsPorts } satisfies ToWorker);
    for (const entry of this.#options.entries()) thread.postMessage({ type: "app", entry } satisfies ToWorker);
    for (const challenge of this.#options.challenges()) thread.postMessage({ type: "challenge", challenge } satisfies ToWorker);
  }

  #onMessage(member: Member, message: FromWorker): void {
    if (message.type === "report") member.report = message.report;
    for (const waiter of [...this.#waiters]) waiter(member.index, message);
    this.#options.onMessage(member.index, message);
  }

  async #onExit(member: Member, reason: string): Promise<void> {
    member.isReady = false;
    member.report = null;
    if (this.#isStopping) return;
    if (!this.#hasStarted) {
      this.#isStopping = true;
      this.#diedAtStart.reject(new ProxyError("internal", `worker ${member.index} cannot start: ${reason}`));
      return;
    }
    this.#options.onDied(member.index, reason);
    member.restarts++;
    member.failures = performance.now() - member.startedMs > STEADY_MS ? 1 : member.failures + 1;
    // The first death may be bad luck, so its replacement comes at once; after that it is likely to die again.
    if (member.failures > 1) await delay(backoffMs(member.failures - 1, BACKOFF, this.#options.random()));
    if (this.#isStopping) return;
    this.#spawn(member);
    const listening = [...this.#listens.values()].map((request) => this.#listenOn(member.index, request));
    const [, ...outcomes] = await Promise.all([this.#until(member.index, (message) => message.type === "started"), ...listening]);
    if (outcomes.every((outcome) => typeof outcome === "number")) member.isReady = true;
    // Without its ports it is of no use; its next replacement may find them free.
    else void member.thread.terminate();
  }

  /** Asks a thread once: its replacement is told of everything at its start, which may be just now. */
  #listenOn(worker: number, request: ListenRequest): Promise<number | ListenFailure> {
    const { key, port } = request;
    const { asked } = this.#members[worker]!;
    const before = asked.get(key);
    if (before?.port === port) return before.outcome;
    const outcome = this.#askToListen(worker, request);
    asked.set(key, { port, outcome });
    return outcome;
  }

  async #askToListen(worker: number, request: ListenRequest): Promise<number | ListenFailure> {
    const answer = this.#until(worker, (message) => "key" in message && message.key === request.key);
    this.send(worker, { type: "listen", request });
    const message = await answer;
    if (message.type === "listening") return message.port;
    if (message.type === "listen_failed") return { request, code: message.code, message: message.message };
    throw new ProxyError("internal", `worker ${worker} answered "${message.type}" to listen`);
  }

  /** The next message of a worker that is meant. */
  #until(worker: number, isMeant: (message: FromWorker) => boolean): Promise<FromWorker> {
    return new Promise((resolve) => {
      const waiter = (from: number, message: FromWorker): void => {
        if (from !== worker || !isMeant(message)) return;
        this.#waiters.delete(waiter);
        resolve(message);
      };
      this.#waiters.add(waiter);
    });
  }
}
