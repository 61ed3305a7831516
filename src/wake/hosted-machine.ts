// One machine of this node and the only place where its state changes. What is asked of it goes through a queue, one thing at a time;
// what happens to it (an exit, a crash loop) is decided here too. The host (host.ts) keeps the machines; drivers do the work.
//
//     start ─► back-off after crashes ─► resume, or record and launch ─► port accepts ─► slot opens ─► started
//     stop, suspend, new plan, removal ─► slot closes ─► what is in flight drains, bounded ─► driver
//     sleep ─► slot closes, WebSockets are told ─► what is in flight ends, or is needed after all: slot opens ─► stop, suspend
//     exit ─► slot closes at once ─► restart policy

import { ProxyError } from "../core/errors.ts";
import type { CheckResult, Health, MachineRecord } from "../core/machine.ts";
import { findRemains } from "./adoption.ts";
import { within } from "./deadline.ts";
import { drain } from "./drain.ts";
import type { MachineExit } from "./driver.ts";
import type { LoadControl } from "./load-control.ts";
import type { MachinePlan } from "./machine-plan.ts";
import { OperationQueue } from "./operation-queue.ts";
import { GONE, PublishedRecord, type PublishedRecordOptions } from "./published-record.ts";
import { decideExit, describeExit, type CrashHistory } from "./restart-policy.ts";
import { endRemains, StartAttempt, type BreakOff } from "./start-attempt.ts";
import type { StoredMachine } from "./stored-machine.ts";

/** A machine that runs. `startMs`: from launch or resume until its port accepted; 0 when it ran already. */
export interface Started {
  readonly record: MachineRecord;
  readonly startMs: number;
}

export interface StartOptions {
  /** How long to wait; the start itself goes on after that. Default: the app's wake_timeout. */
  readonly timeoutMs?: number;
  /** Somebody asked for it by hand: forget earlier crashes and their back-off. */
  readonly fresh?: boolean;
}

export interface HostedMachineOptions extends PublishedRecordOptions {
  readonly load: LoadControl;
  /** How long requests in flight may hold up a stop. */
  readonly drainMs: number;
  onRemoved(app: string, id: string): void;
  /** Its slot has closed while it has load: tunnels to it that can be ended in their own language should be. */
  onLeaving(id: string): void;
}

export class HostedMachine {
  readonly #options: HostedMachineOptions;
  readonly #record: PublishedRecord;
  readonly #crashes: CrashHistory;
  readonly #queue = new OperationQueue();
  readonly #closing = new AbortController();
  #plan: MachinePlan;
  #attempt: StartAttempt | null = null;
  #leaving = false;
  /** Aborted when it is to stay awake after all; null: it is not about to fall asleep. */
  #parting: AbortController | null = null;
  #lastStderr = "";

  /** @param stored what an earlier node wrote about it; null for a new machine */
  constructor(plan: MachinePlan, stored: StoredMachine | null, crashes: CrashHistory, options: HostedMachineOptions) {
    this.#options = options;
    this.#plan = plan;
    this.#crashes = crashes;
    this.#record = new PublishedRecord(plan, stored, options);
  }

  get record(): MachineRecord {
    return this.#record.value;
  }

  /** Tells the listeners that it exists; every later change tells by itself. Its slot is open exactly while it is started. */
  publish(): void {
    this.#record.publish();
    this.#options.load.close(this.record.id);
  }

  /** How long its crashes keep it from being started; 0: not at all. */
  startableInMs(): number {
    return this.#crashes.waitMs(this.#options.now());
  }

  /** Looks for what an earlier node left running of it. Resolves once that is known; its port may still have to be waited for. */
  async adopt(stored: StoredMachine | null): Promise<void> {
    await findRemains(this.#record, this.#plan, stored);
    this.#options.load.close(this.record.id);
    if (this.record.state === "starting") this.#startAgain();
  }

  /**
   * Starts or resumes it, or joins the start under way. Throws `wake_failed`, `wake_timeout` (it may come up later all the same),
   * `machine_state` (it was stopped meanwhile), `machine_not_found` (it is being removed) or `draining`.
   */
  async start(options: StartOptions = {}): Promise<Started> {
    this.#mustExist();
    this.#stay();
    if (this.record.state === "started" && this.#queue.idle) return { record: this.record, startMs: 0 };
    if (options.fresh === true && this.startableInMs() > 0) {
      this.#crashes.clear();
      // While a back-off is sat out nothing runs; the attempt begins anew without it.
      this.#attempt?.breakOff({ kind: "again" });
    }
    const started = this.#queue.run("start", () => this.#start());
    const { timeoutMs = this.#plan.wakeTimeoutMs } = options;
    return await within(timeoutMs, started, () => {
      return new ProxyError("wake_timeout", `machine ${this.#title} did not wake within ${Math.round(timeoutMs)} ms`);
    });
  }

  /** Ends it after its requests in flight. Throws `not_supported`, `machine_not_found`, or what the driver throws. */
  async stop(): Promise<MachineRecord> {
    this.#mustExist();
    this.#mustBeOurs("stopped");
    this.#attempt?.breakOff({ kind: "stopped" });
    return await this.#queue.run("stop", () => this.#stop(true));
  }

  /** Freezes it after its requests in flight; stops it where that cannot be done. Throws also `machine_state`: it does not run. */
  async suspend(): Promise<MachineRecord> {
    this.#mustExist();
    this.#mustBeOurs("suspended");
    return await this.#queue.run("suspend", () => this.#suspend(true));
  }

  /**
   * Puts it to sleep if it is started and nothing is asked of it. Its slot closes in the same turn, so that no request slips in.
   *
   * @param isIdle true: only if nothing is in flight. false: what is in flight ends first; a start meanwhile keeps the machine awake, and
   *   so does a request that takes longer than a drain may (reference section 6.1)
   * @returns false when it stays awake, and nothing has changed
   */
  async sleep(how: "stop" | "suspend", isIdle: boolean): Promise<boolean> {
    if (this.record.state !== "started" || !this.#queue.idle || !this.#plan.driver.canStart || this.#parting !== null) return false;
    if (!this.#options.load.closeWhenIdle(this.record.id)) {
      if (isIdle) return false;
      const parting = new AbortController();
      const isEmpty = await this.#part(parting);
      if (this.#parting !== parting) return false;
      if (!isEmpty) this.#stay();
      this.#parting = null;
      if (!isEmpty) return false;
    }
    await this.#queue.run(how, () => (how === "stop" ? this.#stop(false) : this.#suspend(false)));
    return true;
  }

  /** The app changed. Resolves when the machine is as the plan says: a running one is started anew if that is needed. */
  async apply(plan: MachinePlan): Promise<void> {
    const outdated = plan.configHash !== this.#plan.configHash;
    this.#plan = plan;
    this.#leaving = false;
    if (this.#record.launched.configHash === plan.configHash) this.#record.launched = plan;
    if (!outdated) return;
    this.#crashes.clear();
    const attempt = this.#attempt;
    attempt?.breakOff({ kind: "again" });
    const renewed = this.#renew();
    // A start under way may never come to its end, and is then no reason to hold up a reload.
    if (attempt === null) await renewed;
    else renewed.catch(() => {});
  }

  /** Drains and ends it, forgets its record and tells `onRemoved`. A plan that comes meanwhile keeps it. */
  async remove(): Promise<void> {
    this.#leaving = true;
    this.#attempt?.breakOff({ kind: "stopped" });
    await this.#queue.run("remove", async () => {
      await this.#stop(true);
      if (!this.#leaving) return;
      this.#record.forget();
      this.#options.onRemoved(this.record.app, this.record.id);
    });
  }

  /** The node ends, and nothing is started any more. Ends the machine, or leaves it running for the next node to adopt. */
  async close(keep: boolean): Promise<void> {
    this.#closing.abort();
    this.#attempt?.breakOff({ kind: "closed" });
    if (!keep) this.#queue.append("close", () => this.#stop(false));
    await this.#queue.settled();
  }

  /** The driver saw it end by itself. */
  exited(exit: MachineExit): void {
    const { state } = this.record;
    if (state === "starting") {
      // Even if the attempt was broken off already, the next one must not take it for running.
      this.#record.change({ handle: null, pid: null });
      return this.#attempt?.exited(exit);
    }
    if (state === "suspended") return this.#record.change({ ...GONE, reason: `${describeExit(exit)} while it was suspended` });
    // In any other state somebody is at it already, and will find it gone.
    if (state === "started") this.#ended(exit, this.#withLastWords(describeExit(exit), exit));
  }

  /** The driver read a line of its output. */
  output(stream: "stdout" | "stderr", line: string): void {
    if (stream === "stderr" && line.trim() !== "") this.#lastStderr = line.trim();
    this.#record.log.info({ stream }, line);
  }

  /** Publishes what its checks say; only a started machine has any. */
  setHealth(health: Health, checks: readonly CheckResult[]): void {
    const { state, health: before, checks: known } = this.record;
    const isNews = health !== before || checks.length > 0 || known.length > 0;
    if (state === "started" && isNews) this.#record.change({ health, checks });
  }

  setCordoned(cordoned: boolean): void {
    if (this.record.cordoned !== cordoned) this.#record.change({ cordoned });
  }

  /** Takes leave of what is in flight. Resolves to true when nothing is any more. */
  async #part(parting: AbortController): Promise<boolean> {
    const { load, drainMs, onLeaving } = this.#options;
    const { id } = this.record;
    this.#parting = parting;
    load.close(id);
    onLeaving(id);
    return await drain(load, id, drainMs, parting.signal);
  }

  /** Whoever is about to fall asleep takes requests again. */
  #stay(): void {
    if (this.#parting === null) return;
    this.#partNoMore();
    if (this.record.state === "started") this.#options.load.open(this.record.id);
  }

  /** Something else becomes of it; its slot is in other hands. */
  #partNoMore(): void {
    this.#parting?.abort();
    this.#parting = null;
  }

  // What the queue runs.

  async #start(): Promise<Started> {
    for (;;) {
      this.#mustExist();
      if (this.#closing.signal.aborted) throw new ProxyError("draining");
      if (this.record.state === "started") return { record: this.record, startMs: 0 };
      const attempt = new StartAttempt(this.#record, this.#plan);
      this.#attempt = attempt;
      this.#lastStderr = "";
      try {
        const startMs = await attempt.run(this.startableInMs());
        // First the slot, then the news: whoever reads "started" finds it open.
        this.#options.load.open(this.record.id);
        this.#record.change({ state: "started", reason: "" });
        this.#record.log.info({ startMs: Math.round(startMs), pid: this.record.pid }, "machine started");
        return { record: this.record, startMs };
      } catch (error) {
        if (attempt.brokenOff?.kind !== "again") throw await this.#startFailed(error, attempt.brokenOff);
      } finally {
        this.#attempt = null;
      }
    }
  }

  async #stop(drained: boolean): Promise<MachineRecord> {
    const { state, handle, id } = this.record;
    if (state === "created" || (state === "stopped" && handle === null)) return this.record;
    this.#partNoMore();
    this.#options.load.close(id);
    this.#record.change({ state: "stopping", reason: "" });
    if (drained && state === "started") await this.#drain();
    try {
      await endRemains(this.#record);
    } catch (error) {
      this.#record.change({ state: "failed", reason: `cannot be stopped: ${messageOf(error)}` });
      throw error;
    }
    this.#record.change(GONE);
    this.#record.log.info("machine stopped");
    return this.record;
  }

  async #suspend(drained: boolean): Promise<MachineRecord> {
    const { state, handle, id } = this.record;
    const { driver, launch } = this.#record.launched;
    if (state === "suspended") return this.record;
    if (state !== "started" || handle === null) {
      throw new ProxyError("machine_state", `machine ${this.#title} is ${state}; only a started machine can be suspended`);
    }
    if (!driver.canSuspend) return await this.#stop(drained);
    this.#partNoMore();
    this.#options.load.close(id);
    this.#record.change({ state: "suspending" });
    if (drained) await this.#drain();
    try {
      await driver.suspend(launch, handle);
    } catch (error) {
      this.#record.log.warn({ err: error }, "machine cannot be suspended, stopping it");
      return await this.#stop(false);
    }
    this.#record.change({ state: "suspended" });
    this.#record.log.info("machine suspended");
    return this.record;
  }

  async #renew(): Promise<void> {
    if (await this.#queue.run("apply", () => this.#recycle())) await this.start();
  }

  /** Ends what an outdated plan has running. Resolves to true when it ran and must run again. */
  async #recycle(): Promise<boolean> {
    const { state, handle } = this.record;
    if (this.#leaving || handle === null || this.#record.launched.configHash === this.#plan.configHash) return false;
    this.#record.log.info("the app changed, starting the machine anew");
    await this.#stop(true);
    return state === "started";
  }

  // What happens to it.

  /** It ended, unasked: what now is its restart policy's choice. */
  #ended(exit: MachineExit, reason: string): void {
    this.#partNoMore();
    this.#options.load.close(this.record.id);
    const { restart } = this.#plan;
    const clean = exit.exitCode === 0 && restart.policy !== "always";
    const failures = clean ? 0 : this.#crashes.note(this.#options.now());
    const decision = decideExit(restart, exit, failures);
    this.#record.change({ ...GONE, state: decision === "give_up" ? "failed" : "stopped", reason });
    if (decision === "give_up") this.#record.log.error({ reason, retries: restart.retries }, "machine reached its max restart count");
    else this.#record.log[clean ? "info" : "warn"]({ reason, restart: decision === "restart" }, "machine exited");
    if (decision === "restart") this.#startAgain();
  }

  async #startFailed(error: unknown, why: BreakOff | null): Promise<ProxyError> {
    const listening = this.#plan.readyPort === null ? "was ready" : `listened on port ${this.#plan.readyPort}`;
    if (why?.kind === "closed") return new ProxyError("draining");
    if (why?.kind === "stopped") return new ProxyError("machine_state", `machine ${this.#title} was stopped while it was starting`);
    if (why?.kind === "never_listened") {
      await this.#stop(false).catch(() => {});
      const reason = this.#withLastWords(`gave up before it ${listening}`, null);
      this.#crashes.note(this.#options.now());
      this.#record.change({ state: "failed", reason });
      this.#record.log.warn({ reason }, "machine failed to start");
      return new ProxyError("wake_failed", `machine ${this.#title} ${reason}`);
    }
    const exit = why?.kind === "exited" ? why.exit : { exitCode: null, signal: null };
    const reason =
      why?.kind === "exited"
        ? this.#withLastWords(`${describeExit(exit)} before it ${listening}`, exit)
        : `could not be started: ${messageOf(error)}`;
    this.#ended(exit, reason);
    return new ProxyError("wake_failed", `machine ${this.#title} ${reason}`, { cause: error });
  }

  /** Queues a start that nobody waits for: its failure is logged and judged where it happens. */
  #startAgain(): void {
    if (this.#leaving || this.#closing.signal.aborted) return;
    this.#queue.append("start", () => this.#start()).catch(() => {});
  }

  async #drain(): Promise<void> {
    const { load, drainMs, onLeaving } = this.#options;
    if (load.inFlight(this.record.id) > 0) onLeaving(this.record.id);
    const empty = await drain(load, this.record.id, drainMs, this.#closing.signal);
    if (!empty) this.#record.log.warn({ inFlight: load.inFlight(this.record.id) }, "machine still has requests in flight, going on");
  }

  #withLastWords(reason: string, exit: MachineExit | null): string {
    return this.#lastStderr === "" || exit?.exitCode === 0 ? reason : `${reason}: ${this.#lastStderr}`;
  }

  /** For people. */
  get #title(): string {
    return `"${this.record.app}/${this.record.name}"`;
  }

  #mustExist(): void {
    if (this.#leaving) throw new ProxyError("machine_not_found", `machine ${this.#title} is being removed`);
  }

  #mustBeOurs(done: string): void {
    const { driver } = this.#plan;
    if (!driver.canStart) throw new ProxyError("not_supported", `a machine of driver "${driver.name}" cannot be ${done}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
