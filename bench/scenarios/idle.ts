// What a TLS connection that rests costs in memory: resident memory with 2 000 of them, each of which had one request, against before.

import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { HOST } from "../certificate.ts";
import type { IdleConnectionsOptions } from "../load/idle-connections.ts";
import { LOAD_CORE, residentMb, startProgram, type Program } from "../measure.ts";
import type { Scenario } from "../scenario.ts";

const CONNECTIONS = 2000;
/** Few enough to leave no room behind, enough that code and buffers for handshakes are there already. */
const WARM_UP_CONNECTIONS = 50;
const LANES = 16;
const PROGRAM = fileURLToPath(new URL("../load/idle-connections.ts", import.meta.url));
/** Memory counts once it moves less than this from one look to the next. */
const STILL_MB = 0.5;
const LOOK_EVERY_MS = 250;
const MOST_LOOKS = 12;

export const idle: Scenario = {
  name: "idle",
  title: "memory per idle TLS connection",
  load: `A Node program opens ${CONNECTIONS} TLS 1.3 connections, has one request answered on each, and rests; once, in a process that did nothing before.`,
  needs: "http",
  unit: "connection",
  judged: "kbEach",
  goals: [{ kind: "absolute", most: 32 }],
  isSingle: true,
  measure: async ({ pid, httpsPort }) => {
    const startedMs = performance.now();
    await (await hold(httpsPort, WARM_UP_CONNECTIONS))[Symbol.asyncDispose]();
    const before = await stillMb(pid);
    await using _held = await hold(httpsPort, CONNECTIONS);
    const kbEach = ((await stillMb(pid)) - before) * (1024 / CONNECTIONS);
    const count = CONNECTIONS + WARM_UP_CONNECTIONS;
    return { count, seconds: (performance.now() - startedMs) / 1000, p50Ms: NaN, p95Ms: NaN, p99Ms: NaN, kbEach };
  },
};

function hold(port: number, connections: number): Promise<Program> {
  const options: IdleConnectionsOptions = { port, host: HOST, connections, lanes: LANES };
  return startProgram(LOAD_CORE, [PROGRAM, JSON.stringify(options)], /^ready /);
}

async function stillMb(pid: number): Promise<number> {
  let before = residentMb(pid);
  for (let look = 0; look < MOST_LOOKS; look++) {
    await delay(LOOK_EVERY_MS);
    const now = residentMb(pid);
    if (Math.abs(now - before) < STILL_MB) return now;
    before = now;
  }
  return before;
}
