// A driver whose machines are TCP servers in this process: quick, and obedient where a test wants a machine that crashes, hangs, or
// listens late. It outlives its host, as processes outlive a node.

import { once } from "node:events";
import { createServer, type Server } from "node:net";

import type { DriverName } from "../../src/core/app.ts";
import { ProxyError } from "../../src/core/errors.ts";
import type { DriverHandle } from "../../src/core/machine.ts";
import type { Adopted, Driver, DriverEvents, Launched, LaunchSpec } from "../../src/wake/driver.ts";

interface Running {
  readonly spec: LaunchSpec;
  readonly server: Server;
  readonly port: number;
  readonly launch: number;
  frozen: boolean;
  /** The last call to listen: a server that is about to listen cannot be closed yet. */
  opening: Promise<unknown>;
}

export interface ServerDriverOptions {
  readonly name?: DriverName;
  readonly canSuspend?: boolean;
}

export class ServerDriver implements Driver {
  readonly name: DriverName;
  readonly canStart = true;
  readonly canSuspend: boolean;
  /** `start hello-ams`, `stop hello-ams` and so on, in order. */
  readonly calls: string[] = [];
  /** What every launch was given. */
  readonly launched: LaunchSpec[] = [];
  /** Machines launched now do not listen before `listen` is called. */
  listensLate = false;
  /** How often a machine was to be launched that ran. */
  startedTwice = 0;
  /** The next calls fail with this. */
  failStart: string | null = null;
  failSuspend = false;
  failResume = false;
  /** Called in `start`, before anything runs. */
  onStart: (machine: LaunchSpec) => void | Promise<void> = () => {};
  /** `stop` waits for this. */
  stopping: Promise<void> = Promise.resolve();
  /** Where exits and output go; another host may take over. */
  events: DriverEvents | null = null;
  readonly #running = new Map<string, Running>();

  constructor({ name = "process", canSuspend = true }: ServerDriverOptions = {}) {
    this.name = name;
    this.canSuspend = canSuspend;
  }

  get running(): string[] {
    return [...this.#running.keys()];
  }

  async start(machine: LaunchSpec): Promise<Launched> {
    this.calls.push(`start ${machine.id}`);
    await this.onStart(machine);
    if (this.failStart !== null) throw new ProxyError("spawn_failed", this.failStart);
    if (this.#running.has(machine.id)) {
      this.startedTwice += 1;
      throw new ProxyError("machine_state", `machine "${machine.id}" runs already`);
    }
    const server = createServer((socket) => socket.on("error", () => {}).end());
    const port = await listenOn(server, 0);
    if (this.listensLate) await closed(server);
    const running = { spec: machine, server, port, launch: this.launched.push(machine), frozen: false, opening: Promise.resolve() };
    this.#running.set(machine.id, running);
    return describe(running);
  }

  /** A machine that was launched with `listensLate` opens its port. */
  async listen(id: string): Promise<void> {
    const running = this.#get(id);
    running.opening = running.opening.then(async () => {
      if (!running.server.listening && this.#running.get(id) === running) await listenOn(running.server, running.port);
    });
    await running.opening;
  }

  /** All machines that do not listen yet open their ports. */
  async listenAll(): Promise<void> {
    await Promise.all(this.running.map((id) => this.listen(id)));
  }

  async suspend(machine: LaunchSpec): Promise<void> {
    this.calls.push(`suspend ${machine.id}`);
    if (this.failSuspend) throw new ProxyError("not_supported", "this machine cannot be frozen");
    this.#get(machine.id).frozen = true;
  }

  async resume(machine: LaunchSpec, handle: DriverHandle): Promise<void> {
    this.calls.push(`resume ${machine.id}`);
    const running = this.#running.get(machine.id);
    if (this.failResume || running === undefined || running.launch !== handle["launch"])
      throw new ProxyError("machine_state", "this machine is gone");
    running.frozen = false;
  }

  async stop(machine: LaunchSpec, handle: DriverHandle): Promise<void> {
    this.calls.push(`stop ${machine.id}`);
    await this.stopping;
    if (this.#running.get(machine.id)?.launch === handle["launch"]) await this.#end(machine.id);
  }

  async adopt(machine: LaunchSpec): Promise<Adopted | null> {
    this.calls.push(`adopt ${machine.id}`);
    const running = this.#running.get(machine.id);
    return running === undefined ? null : { ...describe(running), state: running.frozen ? "suspended" : "started" };
  }

  async close(): Promise<void> {
    this.events = null;
  }

  /** The machine ends by itself, after a last line on stderr. */
  async crash(id: string, exitCode: number | null, lastLine = ""): Promise<void> {
    const ended = this.#end(id);
    if (lastLine !== "") this.events?.onOutput(id, "stderr", lastLine);
    this.events?.onExit(id, { exitCode, signal: null });
    await ended;
  }

  /** The machine ends while nobody looks. */
  async vanish(id: string): Promise<void> {
    await this.#end(id);
  }

  /** Ends everything that a test has left. */
  async endAll(): Promise<void> {
    for (const id of this.running) await this.#end(id);
  }

  async #end(id: string): Promise<void> {
    const { server, opening } = this.#get(id);
    this.#running.delete(id);
    await opening;
    if (server.listening) await closed(server);
  }

  #get(id: string): Running {
    const running = this.#running.get(id);
    if (running === undefined) throw new Error(`machine ${id} does not run`);
    return running;
  }
}

function describe({ spec, port, launch }: Running): Launched {
  const addresses = Object.fromEntries(spec.internalPorts.map((internalPort) => [internalPort, { host: "127.0.0.1", port }]));
  return { handle: { launch }, addresses, pid: launch };
}

async function listenOn(server: Server, port: number): Promise<number> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function closed(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}
