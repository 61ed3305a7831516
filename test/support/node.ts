// Starts a real node for a behaviour test: configuration written to a directory of its own, ports chosen by the system, everything ended
// and removed at the end of the test.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { EventEmitter, once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turnOfLoop } from "node:timers/promises";
import { loadConfig } from "../../src/config/load.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { startNode, type Node, type NodeEvent } from "../../src/start-node.ts";
import { eventually } from "./eventually.ts";
import { assertNoneLeft } from "./processes.ts";

export interface TestNodeOptions {
  /** `fly.toml` texts by file name without ending. */
  readonly apps: Readonly<Record<string, string>>;
  /** Lines put in front of kittiwake.toml; `region` and `workers` have defaults. */
  readonly settings?: string;
  /** More lines of [edge]. */
  readonly edge?: string;
  /** More lines of [admin]. */
  readonly admin?: string;
  /** Tables put at its end. */
  readonly tables?: string;
  readonly region?: string;
  readonly workers?: number;
  /** Public ports beyond 80 and 443, each bound to one that the system chooses. */
  readonly ports?: readonly number[];
  /** Keep data and configuration of an earlier node. */
  readonly dir?: string;
  /** Of the node; of several on one store, each has its own. */
  readonly name?: string;
  /** KITTIWAKE_SECRET. */
  readonly secret?: string;
}

export class TestNode implements AsyncDisposable {
  readonly node: Node;
  readonly dir: string;
  readonly events: readonly NodeEvent[];
  readonly #emitter: EventEmitter;
  readonly #ownsDir: boolean;

  constructor(node: Node, dir: string, events: readonly NodeEvent[], emitter: EventEmitter, ownsDir: boolean) {
    this.node = node;
    this.dir = dir;
    this.events = events;
    this.#emitter = emitter;
    this.#ownsDir = ownsDir;
  }

  get httpPort(): number {
    return this.boundPort(80);
  }

  get httpsPort(): number {
    return this.boundPort(443);
  }

  /** Where a public port is bound; UDP has numbers of its own. */
  boundPort(publicPort: number, transport: "tcp" | "udp" = "tcp"): number {
    const { listeners } = this.node.control.status();
    return listeners.find((one) => one.publicPort === publicPort && (one.scheme === "udp") === (transport === "udp"))!.port;
  }

  get adminUrl(): string {
    return this.node.adminUrl;
  }

  /** Resolves with the first event of the type, also if it has happened already. */
  async event<Type extends NodeEvent["type"]>(type: Type, matches: (event: Extract<NodeEvent, { type: Type }>) => boolean = () => true) {
    for (;;) {
      const found = this.events.find((event) => event.type === type && matches(event as Extract<NodeEvent, { type: Type }>));
      if (found !== undefined) return found as Extract<NodeEvent, { type: Type }>;
      await once(this.#emitter, "event");
    }
  }

  /** Resolves as soon as something is so; looked at again with every event. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await once(this.#emitter, "event");
  }

  /**
   * Lets so much time pass for the time-outs of the data plane, and takes none. Whatever was sent before has arrived by then, and what the
   * edge sent because of it has come back. Its clock goes on as well, so tests set time-outs that nobody lives to see.
   */
  async passTime(ms: number): Promise<void> {
    await turnOfLoop();
    await this.node.passTime(ms);
    await turnOfLoop();
    await turnOfLoop();
  }

  /**
   * Resolves when the workers have read what was sent to them, and what they sent because of it has come: what has not happened by then
   * does not happen.
   */
  async settle(): Promise<void> {
    await this.passTime(0);
  }

  /** Does this end once so much time has passed, not long before and not long after? */
  async endsAfter<Result>(ms: number, work: Promise<Result>): Promise<Result> {
    let hasEnded = false;
    const end = (): void => void (hasEnded = true);
    work.then(end, end);
    await this.passTime(ms * 0.9);
    assert.equal(hasEnded, false, `it was over before ${ms} ms were`);
    await this.passTime(ms * 0.2);
    await eventually(() => hasEnded, `a time-out of ${ms} ms`);
    return await work;
  }

  /** Lets time pass a little at a time until something is so, for what still moves meanwhile; resolves with how much time it took. */
  async passTimeUntil(isSo: () => boolean, stepMs: number, limitMs?: number): Promise<number> {
    let passedMs = 0;
    const step = async (): Promise<boolean> => {
      if (isSo()) return true;
      await this.passTime(stepMs);
      passedMs += stepMs;
      return isSo();
    };
    await eventually(step, "a time-out", limitMs);
    return passedMs;
  }

  /** Writes an app's fly.toml anew; `reload` brings it into force. */
  writeApp(name: string, text: string): void {
    writeFileSync(join(this.dir, "apps", `${name}.toml`), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.stop();
    if (!this.#ownsDir) return;
    assertNoneLeft(join(this.dir, "data"));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Writes the configuration; returns the path of kittiwake.toml. */
export function writeConfig(dir: string, options: TestNodeOptions): string {
  mkdirSync(join(dir, "apps"), { recursive: true });
  const path = join(dir, "kittiwake.toml");
  const lines = [
    options.settings ?? "",
    `node = "${options.name ?? "test-node"}"`,
    `region = "${options.region ?? "ams"}"`,
    `workers = ${options.workers ?? 1}`,
    'domain = "localhost"',
    'apps = ["apps/*.toml"]',
    "[edge]",
    'bind = ["127.0.0.1"]',
    `ports = { ${[80, 443, ...(options.ports ?? [])].map((port) => `${port} = 0`).join(", ")} }`,
    options.edge ?? "",
    "[admin]",
    'listen = "127.0.0.1:0"',
    options.admin ?? "",
    "[log]",
    'file = "node.log"',
    'level = "debug"',
    options.tables ?? "",
  ];
  writeFileSync(path, lines.join("\n"));
  for (const [name, text] of Object.entries(options.apps)) writeFileSync(join(dir, "apps", `${name}.toml`), text);
  return path;
}

export async function startTestNode(options: TestNodeOptions): Promise<TestNode> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), "kittiwake-test-"));
  const configPath = writeConfig(dir, options);
  const config = loadConfig(configPath);
  if (!config.usable) throw new Error(config.problems.map(formatProblem).join("\n"));
  const events: NodeEvent[] = [];
  const emitter = new EventEmitter();
  emitter.setMaxListeners(0);
  const onEvent = (event: NodeEvent): void => {
    events.push(event);
    emitter.emit("event", event);
  };
  const node = await startNode(config, { configPath, onEvent, ...(options.secret === undefined ? {} : { secret: options.secret }) });
  return new TestNode(node, dir, events, emitter, options.dir === undefined);
}
