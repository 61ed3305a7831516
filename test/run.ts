// `npm test`: every *.test.ts file under the given folders or files (all of test/ without any, but for the image and the scanners, which
// take as long as a fifth of all others: npm run test:long). Three processes run them, each file after file (lane.ts): to load the program costs
// more than most files do. A file with the word @own-process in it has one to itself. Differs from `node --test` in that, and in two
// ways more: no test at all is a failure, and so is a file that does not end.

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, globSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { Readable } from "node:stream";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import type { LaneOrder, LaneReport, TestEvent } from "./lane.ts";

const LANES = 3;
const TEST_MS = 60_000;
const FILE_MS = 180_000;
/** A file that does not even say that it is stuck. */
const GRACE_MS = 10_000;
/** A process that has come to need more makes way for a new one. */
const MOST_RSS_BYTES = 600 * 1024 * 1024;
/** Room for what loading a program leaves behind: to collect it takes longer than most files do. */
const EXEC_ARGV = [`--test-timeout=${TEST_MS}`, "--min-semi-space-size=16", "--max-semi-space-size=32"];
const LANE = fileURLToPath(new URL("lane.ts", import.meta.url));
/** What the runner in a lane says of each file, and this one of all. */
const COUNTS = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo"] as const;
const COUNTED = new RegExp(`^(${COUNTS.join("|")}|duration_ms) ([\\d.]+)$`);

const asked = process.argv.slice(2);
const found = (asked.length === 0 ? ["test"] : asked).flatMap((path) =>
  statSync(path).isDirectory() ? globSync(join(path, "**/*.test.ts")) : [path],
);
const files = asked.length === 0 ? found.filter((path) => !/\.(docker|scanners)\.test\.ts$/.test(path)) : found;

// Compiled once for all processes, the program takes half the time to load. Kept by content.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("../node_modules/.cache/kittiwake-tests", import.meta.url));

// What tests write is small and forgotten at once: in memory, where there is room, that takes neither the disk nor a tenth of the time.
if (canHold("/dev/shm")) process.env["TMPDIR"] ??= "/dev/shm";

const startedMs = performance.now();
const totals = new Map<string, number>(COUNTS.map((name) => [name, 0]));
const events = new Readable({ objectMode: true, read() {} });
events.compose(spec).pipe(process.stdout);
const left = files.map((path) => resolve(path)).toSorted();
await Promise.all(Array.from({ length: LANES }, runLane));
for (const [name, value] of totals) say(`${name} ${value}`);
say(`duration_ms ${(performance.now() - startedMs).toFixed(0)}`);
events.push(null);
if (totals.get("fail")! + totals.get("cancelled")! > 0) process.exitCode = 1;
if (totals.get("tests") === 0) {
  console.error(`no test found in ${asked.join(" ") || "test"}`);
  process.exitCode = 1;
}

/** File after file, until none is left. */
async function runLane(): Promise<void> {
  let lane: ChildProcess | null = null;
  for (let file = left.shift(); file !== undefined; file = left.shift()) {
    const isAlone = readFileSync(file, "utf8").includes("@own-process");
    if (isAlone) lane = await end(lane);
    lane ??= fork(LANE, { execArgv: EXEC_ARGV, serialization: "advanced" });
    if (!(await runFile(lane, file)) || isAlone) lane = await end(lane);
  }
  await end(lane);
}

/** False: its process is no good for another one. */
async function runFile(lane: ChildProcess, file: string): Promise<boolean> {
  const { promise, resolve: settle } = Promise.withResolvers<boolean>();
  // The reporter takes what it hears for one tree.
  const heard: TestEvent[] = [];
  const onStuck = (open: string): void => {
    lane.kill("SIGKILL");
    fail(file, `still running after ${FILE_MS / 1000} s; open: ${open}`, settle);
  };
  const timer = setTimeout(onStuck, FILE_MS + GRACE_MS, "nobody knows");
  const onExit = (code: number | null, signal: string | null): void => fail(file, `its process ended with ${code ?? signal}`, settle);
  const onMessage = (report: LaneReport): void => {
    if (report.kind === "event") return void heard.push(report.event);
    if (report.kind === "stuck") onStuck(report.open);
    else if (report.error !== null) fail(file, report.error, settle);
    else settle(report.rssBytes < MOST_RSS_BYTES);
  };
  lane.on("message", onMessage).once("exit", onExit);
  lane.send({ file, fileMs: FILE_MS } satisfies LaneOrder);
  const isGood = await promise;
  heard.forEach(onEvent);
  clearTimeout(timer);
  lane.off("message", onMessage).off("exit", onExit);
  return isGood;
}

/** Each file has its own counts, of which there is to be one in the end. */
function onEvent(event: TestEvent): void {
  const { message } = event.data as { message?: string };
  const [, name, value] = (event.type === "test:diagnostic" && COUNTED.exec(message ?? "")) || [];
  if (name === undefined) {
    if (event.type !== "test:summary") events.push(event);
  } else if (name !== "duration_ms") totals.set(name, totals.get(name)! + Number(value));
}

function fail(file: string, message: string, settle: (isGood: boolean) => void): void {
  totals.set("tests", totals.get("tests")! + 1);
  totals.set("fail", totals.get("fail")! + 1);
  const error = new Error(message, { cause: message });
  const name = relative("", file);
  events.push({ type: "test:fail", data: { name, nesting: 0, testNumber: 0, file, details: { duration_ms: 0, error, type: "test" } } });
  settle(false);
}

/** SIGKILL after a while: its tests are over. */
async function end(lane: ChildProcess | null): Promise<null> {
  if (lane === null || lane.exitCode !== null || lane.signalCode !== null) return null;
  const exited = once(lane, "exit");
  const timer = setTimeout(() => lane.kill("SIGKILL"), 5000);
  if (lane.connected) lane.disconnect();
  await exited;
  clearTimeout(timer);
  return null;
}

function say(message: string): void {
  events.push({ type: "test:diagnostic", data: { nesting: 0, message, level: "info" } });
}

function canHold(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize > 2 ** 30;
  } catch {
    return false;
  }
}
