// `kittiwake run`: a node, until somebody stops it. stdout is for people and for programs that wait for the "ready" line; what is wrong
// goes to stderr, and the log where the configuration says.
//
//     SIGINT, SIGTERM   stop gracefully; once more: end at once
//     SIGHUP            read the configuration anew

import { findConfig, loadConfig } from "../../config/load.ts";
import { type Node, type NodeEvent, startNode } from "../../start-node.ts";
import { formatBanner, formatReady } from "../banner.ts";
import { configPath, type GlobalOptions } from "../config-source.ts";
import { describeReload } from "../describe-reload.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import type { Terminal } from "../terminal.ts";
import { VERSION } from "../../core/version.ts";
import { describeProblem } from "./check.ts";

export interface RunOptions extends GlobalOptions {
  /** Machines run on when the node stops, and the next one adopts them. */
  readonly keepMachines?: boolean;
}

/** A node that is asked to stop while it starts first comes up, so that nothing is left half done; but not for ever. */
const START_GRACE_MS = 10_000;

export async function run(options: RunOptions, terminal: Terminal): Promise<ExitCode> {
  const path = configPath(options, terminal);
  const config = loadConfig(path, { cwd: terminal.cwd, environment: terminal.env });
  for (const problem of config.problems) terminal.complain(describeProblem(problem));
  if (!config.usable) return EXIT.invalid;

  // From here on a signal must not end the process with half a node in it.
  const stopping = listenForStop(terminal);
  const reloads = listenForReload();
  const node = await startNode(config, {
    configPath: path,
    onEvent: (event) => report(event, terminal),
    keepMachines: options.keepMachines ?? false,
  });
  stopping.onStarted();
  if (!stopping.isAsked()) {
    const { listeners, adminUrl } = node;
    const configFlag = path === findConfig({}, terminal.cwd) ? "" : ` --config ${path}`;
    terminal.print(formatBanner({ version: VERSION, config, listeners, adminUrl, configFlag }));
    terminal.print(formatReady(listeners, adminUrl));
    reloads.begin(node);
  }
  await stopping.asked;
  await node.stop();
  return EXIT.ok;
}

function report(event: NodeEvent, terminal: Terminal): void {
  switch (event.type) {
    case "woke":
      return terminal.print(describeWake(event));
    case "reloaded":
      return terminal.print(describeReload(event.result).join("\n"));
    case "worker_replaced":
      return terminal.complain(`worker ${event.index} died and is replaced: ${event.reason}`);
  }
}

/** `woke hello/ams in 214 ms (start 203, edge 11)`: the machine's part of the wait, and ours. */
function describeWake({ app, name, totalMs, startMs }: Extract<NodeEvent, { type: "woke" }>): string {
  const total = Math.round(totalMs);
  // A request that came while the machine was on its way waited for less than the whole start.
  const start = Math.min(Math.round(startMs), total);
  return `woke ${app}/${name} in ${total} ms (start ${start}, edge ${total - start})`;
}

interface Stopping {
  /** Resolves with the first signal. */
  readonly asked: Promise<void>;
  isAsked(): boolean;
  /** There is a node now that can be stopped. */
  onStarted(): void;
}

function listenForStop(terminal: Terminal): Stopping {
  const { promise, resolve } = Promise.withResolvers<void>();
  let times = 0;
  let isStarted = false;
  const onSignal = (): void => {
    if (++times > 1) process.exit(EXIT.failure);
    terminal.complain("stopping; the same signal once more ends the node at once");
    resolve();
    const giveUp = (): void => {
      if (!isStarted) process.exit(EXIT.failure);
    };
    if (!isStarted) setTimeout(giveUp, START_GRACE_MS).unref();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return { asked: promise, isAsked: () => times > 0, onStarted: () => (isStarted = true) };
}

/** SIGHUP ends a process that does not listen to it, so it is taken before there is a node to reload, and remembered. */
function listenForReload(): { begin(node: Node): void } {
  let node: Node | null = null;
  let isWanted = false;
  process.on("SIGHUP", () => {
    if (node === null) isWanted = true;
    else void node.control.reload();
  });
  return {
    begin: (started) => {
      node = started;
      if (isWanted) void node.control.reload();
    },
  };
}
