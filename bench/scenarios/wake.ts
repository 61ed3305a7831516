// Time to the first byte from a machine that is suspended or stopped, against a warm one and against the app's own start: what is left is
// what edge and host add. One request at a time, on a new connection each.

import { writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { request } from "undici";
import { startKittiwake, type BenchNode } from "../kittiwake.ts";
import { PROXY_CORE, accepts, median } from "../measure.ts";

export interface WakeResult {
  readonly warmMs: number;
  readonly suspendedMs: number;
  readonly stoppedMs: number;
  /** From spawning the app to its port accepting, without Kittiwake. */
  readonly ownStartMs: number;
  readonly rounds: number;
}

const HOST = "sleepy.localhost";

const SERVER = `
import { createServer } from "node:http";
const server = createServer((request, response) => response.end("awake\\n"));
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGINT", () => process.exit(0));
`;

const APP = `
app = "sleepy"
primary_region = "ams"
[processes]
app = "exec ${process.execPath} ../server.mjs"
[http_service]
internal_port = 8080
auto_stop_machines = "suspend"
[http_service.concurrency]
type = "requests"
[kittiwake]
idle_timeout = "1h"
`;

export async function wake(rounds: number): Promise<WakeResult> {
  await using node = await startKittiwake({ sleepy: APP }, { "server.mjs": SERVER });
  await firstByteMs(node);
  const warm: number[] = [];
  const suspended: number[] = [];
  const stopped: number[] = [];
  const own: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await asleep(node, "suspend");
    suspended.push(await firstByteMs(node));
    warm.push(await firstByteMs(node));
    await asleep(node, "stop");
    stopped.push(await firstByteMs(node));
    own.push(await ownStartMs());
  }
  return { warmMs: median(warm), suspendedMs: median(suspended), stoppedMs: median(stopped), ownStartMs: median(own), rounds };
}

/** Sends one request on a connection of its own; milliseconds from connecting to the first byte of the response. */
async function firstByteMs({ httpPort }: BenchNode): Promise<number> {
  const startedMs = performance.now();
  const socket = connect({ port: httpPort, host: "127.0.0.1" });
  socket.write(`GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`);
  const [chunk] = (await once(socket, "data")) as [Buffer];
  const tookMs = performance.now() - startedMs;
  socket.destroy();
  if (!chunk.toString("latin1").startsWith("HTTP/1.1 200 ")) throw new Error(`expected 200, got ${chunk.toString("latin1")}`);
  return tookMs;
}

async function asleep({ adminUrl }: BenchNode, how: "suspend" | "stop"): Promise<void> {
  const machines = `${adminUrl}/v1/apps/sleepy/machines`;
  const { body } = await request(machines);
  const [machine] = (await body.json()) as [{ readonly id: string }];
  const answer = await request(`${machines}/${machine.id}/${how}`, { method: "POST" });
  if (answer.statusCode !== 200) throw new Error(`${how}: ${answer.statusCode} ${await answer.body.text()}`);
  await answer.body.dump();
}

/** The app on its own, started like the driver starts it, on another port. */
async function ownStartMs(): Promise<number> {
  const path = join(tmpdir(), `kittiwake-bench-${process.pid}.mjs`);
  writeFileSync(path, SERVER);
  const port = 19_000 + (process.pid % 1000);
  const startedMs = performance.now();
  const child = spawn("taskset", ["-c", String(PROXY_CORE), "/bin/sh", "-c", `exec ${process.execPath} ${path}`], {
    env: { ...process.env, PORT: String(port) },
    stdio: "ignore",
  });
  while (!(await accepts(port))) if (child.exitCode !== null) throw new Error("the app ended before it listened");
  const tookMs = performance.now() - startedMs;
  child.kill("SIGKILL");
  await once(child, "exit");
  return tookMs;
}
