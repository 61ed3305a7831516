// A process that log.test.ts starts, because only another process shows what happens on a pipe. Which part it plays is its argument.

import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker, workerData } from "node:worker_threads";

import { createLog } from "../../src/telemetry/log.ts";

const THREADS = 4;
const LINES = 400;

const role = (workerData as string | null) ?? process.argv[2];
if (role === "threads") await writeFromThreads();
else if (role === "thread") await writeLines();
else if (role === "flood") await flood();
else if (role === "broken-pipe") await writeToNobody();

async function writeFromThreads(): Promise<void> {
  const workers = Array.from({ length: THREADS }, () => new Worker(fileURLToPath(import.meta.url), { workerData: "thread" }));
  await Promise.all(workers.map((worker) => once(worker, "exit")));
}

async function writeLines(): Promise<void> {
  const log = createLog({ level: "info", destination: "stdout", name: "thread" });
  for (let line = 0; line < LINES; line++) log.info({ line, filler: "x".repeat((line * 37) % 1500) }, "a line");
  await log.close();
}

/** More than what may wait, to a reader that does not read until it is told that all was logged. */
async function flood(): Promise<void> {
  const log = createLog({ level: "info", destination: "stdout" });
  for (let line = 0; line < 8_000; line++) log.info({ line, filler: "x".repeat(1_000) }, "a line");
  process.send?.("logged");
  await once(process, "message");
  await log.close();
  process.disconnect?.();
}

async function writeToNobody(): Promise<void> {
  const log = createLog({ level: "info", destination: "stdout" });
  process.send?.("ready");
  await once(process, "message");
  log.info("into the void");
  await log.close();
  log.info("and once more");
  process.send?.("alive", () => process.disconnect?.());
}
