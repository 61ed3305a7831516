// Apps with real processes for behaviour tests: the fly.toml of one, and a client that asks it through the edge or at its own address.

import assert from "node:assert/strict";
import { request, type Agent } from "node:http";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { MachineRecord } from "../../src/core/machine.ts";
import type { TestNode } from "./node.ts";

export const INTERNAL_PORT = 8080;
export const APP_COMMAND = `exec '${process.execPath}' '${fileURLToPath(new URL("app-server.mjs", import.meta.url))}'`;

export interface ProcessAppOptions {
  readonly internalPort?: number;
  readonly regions?: readonly string[];
  readonly autoStop?: "off" | "stop" | "suspend";
  readonly autoStart?: boolean;
  readonly minRunning?: number;
  /** Default: the test server. */
  readonly command?: string;
  /**
   * What the test server heeds: BOOT_MS and STOP_MS until it listens and until it ends, EXIT_CODE to end at once, STARTS_FILE to append its pid to,
   * SICK_FILES: /health fails while there is a file `<SICK_FILES>-<region>`; COLOR is part of every answer.
   */
  readonly env?: Readonly<Record<string, string>>;
  readonly softLimit?: number;
  readonly hardLimit?: number;
  readonly idleTimeout?: string;
  readonly wakeTimeout?: string;
  /** More lines of [http_service]. */
  readonly service?: string;
  /** More lines and tables at the end. */
  readonly more?: string;
}

/** The fly.toml of an app that the process driver runs; asleep at first, and it stays awake for long unless told otherwise. */
export function processApp(name: string, options: ProcessAppOptions = {}): string {
  const { regions = ["ams"], autoStop = "suspend", autoStart = true, minRunning = 0, command = APP_COMMAND, env = {} } = options;
  const { softLimit, hardLimit, idleTimeout = "1h", wakeTimeout = "20s", service = "", more = "", internalPort = INTERNAL_PORT } = options;
  return [
    `app = ${JSON.stringify(name)}`,
    `primary_region = "ams"`,
    "[env]",
    ...Object.entries(env).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
    "[processes]",
    `app = ${JSON.stringify(command)}`,
    "[http_service]",
    `internal_port = ${internalPort}`,
    `auto_stop_machines = "${autoStop}"`,
    `auto_start_machines = ${autoStart}`,
    `min_machines_running = ${minRunning}`,
    `regions = ${JSON.stringify(regions)}`,
    service,
    "[http_service.concurrency]",
    'type = "requests"',
    ...(softLimit === undefined ? [] : [`soft_limit = ${softLimit}`]),
    ...(hardLimit === undefined ? [] : [`hard_limit = ${hardLimit}`]),
    "[kittiwake]",
    `idle_timeout = "${idleTimeout}"`,
    `wake_timeout = "${wakeTimeout}"`,
    more,
  ].join("\n");
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** From asking to the head of the response. */
  readonly firstByteMs: number;
}

/** What the test server says of itself. */
export interface Identity {
  readonly pid: number;
  readonly app: string;
  readonly region: string;
  readonly machine: string;
  readonly color: string;
  readonly mostAtOnce: number;
  readonly served: number;
  /** From the start of its program until it listened, as itself measured it. */
  readonly bootMs: number;
}

export interface AskOptions {
  /** Default: a connection of its own. */
  readonly agent?: Agent;
  readonly method?: string;
  /** Beside its host. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** One request to `<app>.localhost`. Rejects when the connection fails. */
export function ask(port: number, app: string, path = "/", options: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const { agent = false, headers: more, ...rest } = options;
    const headers = { host: `${app}.localhost`, ...more };
    const sent = request({ port, host: "127.0.0.1", path, headers, agent, ...rest }, (response) => {
      const firstByteMs = performance.now() - startedMs;
      const { statusCode: status = 0, headers } = response;
      response
        .setEncoding("utf8")
        .toArray()
        .then((parts) => resolve({ status, headers, body: parts.join(""), firstByteMs }), reject);
    });
    sent.on("error", reject).end();
  });
}

/** Who answers `/`, or another path; anything but 200 is a failure of the test. */
export async function identify(port: number, app: string, path = "/", options: AskOptions = {}): Promise<Identity> {
  const { status, body } = await ask(port, app, path, options);
  assert.equal(status, 200, body);
  return JSON.parse(body) as Identity;
}

/** Asks a machine at its own address, past the edge. */
export async function askMachine({ addresses, app }: MachineRecord, path: string): Promise<Answer> {
  return await ask(addresses[INTERNAL_PORT]!.port, app, path);
}

/** The machine of an app in a region; of several there the one with this ordinal, from 1. */
export function machineOf({ node }: TestNode, app: string, region = "ams", ordinal = 1): MachineRecord {
  const machine = node.control.machines(app).filter((record) => record.region === region)[ordinal - 1];
  assert.ok(machine, `app "${app}" has no machine ${ordinal} in "${region}"`);
  return machine;
}

/** Resolves with the machine as soon as it is as `isMeant` says; asked again with every change of any machine. */
export async function untilMachine(
  node: TestNode,
  app: string,
  isMeant: (machine: MachineRecord) => boolean,
  region = "ams",
): Promise<MachineRecord> {
  await node.until(() => isMeant(machineOf(node, app, region)));
  return machineOf(node, app, region);
}

/** The pids that a machine's program had, one a start. */
export function startsIn(file: string): number[] {
  return readFileSync(file, "utf8").trim().split("\n").map(Number);
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
