// A thousand requests, a hundred at once, to an app that sleeps in the near region and is awake in one 80 ms away: with warm_detour and without.
// This process is the clients, whose connections stand and have carried requests before; the node is one of its own, as are the two machines
// and the relay in front of the far one. Exit code 1 where the 99th percentile with warm_detour exceeds the way there and back by 20 ms, or the way home takes a second.
//
//     node bench/warm-detour.ts [--rounds N]

import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AdminClient } from "../src/admin/client.ts";
import { Lane, type Answered } from "./detour/lanes.ts";
import { startKittiwake, type BenchNode } from "./kittiwake.ts";
import { cpuUs, median, unpin } from "./measure.ts";
import { wholeNumber } from "./whole-number.ts";

const REQUESTS = 1000;
const AT_ONCE = 100;
/** So far apart are these two in the table of regions. */
const RTT_MS = 80;
const NEAR = "ams";
const FAR = "doh";
/** Slept, so that what the near machine does by then takes no CPU time from those that are measured. */
const BOOT_MS = 1500;
const HOST = "hello.localhost";
/** Asked by those who have settled for the far region, so that it does not wake the near one. */
const ONLY_FAR = `fly-force-region: ${FAR}\r\n`;
const WARM_UP = 20;
/** A connection to a machine rests for 4 s at most. */
const POOL_EMPTY_MS = 5000;
/** Between the requests of a lane while it is seen how the traffic moves home. */
const PAUSE_MS = 20;

interface Variant {
  readonly name: string;
  readonly hasDetour: boolean;
  /** Connections to the far machine rest from requests before. */
  readonly isPoolWarm: boolean;
  readonly handshakeMs: number;
  /** Of the 99th percentile; null: none. */
  readonly mostMs: number | null;
}

const BOUND_MS = RTT_MS + 20;
const VARIANTS: readonly Variant[] = [
  { name: "detour", hasDetour: true, isPoolWarm: true, handshakeMs: 0, mostMs: BOUND_MS },
  // A hundred of them at once cost both sides of them more than the bound leaves, with no edge between as well.
  { name: "detour, new connections to the far machine", hasDetour: true, isPoolWarm: false, handshakeMs: 0, mostMs: null },
  { name: "the same, their handshake a round trip too", hasDetour: true, isPoolWarm: false, handshakeMs: RTT_MS, mostMs: null },
  { name: "no detour", hasDetour: false, isPoolWarm: true, handshakeMs: 0, mostMs: null },
];

interface Round {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly far: number;
  /** From the first request until the near machine listened. */
  readonly wakeMs: number;
  /** From then on until the first answer from home. */
  readonly firstHomeMs: number;
  /** From then on until the last request that the far machine answered was sent; 0: before. */
  readonly lastFarMs: number;
  /** CPU time of the node and its machines meanwhile, by request. */
  readonly cpuUs: number;
}

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
const rounds = wholeNumber("rounds", values.rounds);

console.log(`${REQUESTS} requests, ${AT_ONCE} at once; far round trip ${RTT_MS} ms, the near machine needs ${BOOT_MS} ms and its start`);
console.log(`medians of ${rounds} rounds (the best); times in ms\n`);
console.log("| | p50 | p99 | far | near up after | first at home | last sent far | CPU µs a request |");
console.log("|---|---|---|---|---|---|---|---|");
let holds = true;
for (const variant of VARIANTS) {
  const results: Round[] = [];
  for (let round = 0; round < rounds; round++) results.push(await measure(variant));
  const of = (pick: (round: Round) => number): string => {
    const all = results.map(pick);
    return `${median(all).toFixed(0)} (${Math.min(...all).toFixed(0)})`;
  };
  const cells = [
    of((r) => r.p50Ms),
    of((r) => r.p99Ms),
    `${median(results.map((r) => (r.far / REQUESTS) * 100)).toFixed(0)} %`,
    of((r) => r.wakeMs),
    of((r) => r.firstHomeMs),
    of((r) => r.lastFarMs),
    of((r) => r.cpuUs),
  ];
  console.log(`| ${variant.name} | ${cells.join(" | ")} |`);
  holds &&= variant.mostMs === null || median(results.map((r) => r.p99Ms)) <= variant.mostMs;
  holds &&= median(results.map((r) => Math.max(r.firstHomeMs, r.lastFarMs))) <= 1000;
}
console.log(`\np99 within ${BOUND_MS} ms with the detour, and home within a second of the wake: ${holds ? "holds" : "does not hold"}`);
if (!holds) process.exitCode = 1;

async function measure(variant: Variant): Promise<Round> {
  await using node = await startKittiwake({ hello: appOf(variant) }, {}, 2);
  await unpin(node.pid);
  await startFar(node);
  const lanes = await Promise.all(Array.from({ length: AT_ONCE }, () => Lane.connect(node.httpPort)));
  try {
    await each(lanes, async (lane) => {
      for (let i = 0; i < WARM_UP; i++) expectRegion(await lane.ask(HOST, ONLY_FAR), FAR);
    });
    if (!variant.isPoolWarm) await delay(POOL_EMPTY_MS);
    return await measureWarm(node, lanes);
  } finally {
    for (const lane of lanes) lane[Symbol.dispose]();
  }
}

async function measureWarm(node: BenchNode, lanes: readonly Lane[]): Promise<Round> {
  const answers: Answered[] = [];
  const cpuBeforeUs = cpuUs(node.pid);
  const beganMs = performance.now();
  let left = REQUESTS;
  await each(lanes, async (lane) => {
    while (left-- > 0) answers.push(await lane.ask(HOST));
  });
  const usedUs = cpuUs(node.pid) - cpuBeforeUs;
  const timesMs = answers.map(({ askedMs, answeredMs }) => answeredMs - askedMs).toSorted((a, b) => a - b);
  const far = answers.filter((answer) => regionOf(answer) === FAR).length;
  await keepAskingUntilHome(lanes, answers);
  const atHome = answers.filter((answer) => regionOf(answer) === NEAR);
  const upMs = Number(atHome[0]!.body.split(" ")[1]) - performance.timeOrigin;
  const lastFarMs = Math.max(...answers.filter((answer) => regionOf(answer) === FAR).map(({ askedMs }) => askedMs), beganMs);
  return {
    p50Ms: timesMs[REQUESTS * 0.5]!,
    p99Ms: timesMs[REQUESTS * 0.99]!,
    far,
    wakeMs: upMs - beganMs,
    firstHomeMs: Math.min(...atHome.map(({ answeredMs }) => answeredMs)) - upMs,
    lastFarMs: Math.max(0, lastFarMs - upMs),
    cpuUs: usedUs / REQUESTS,
  };
}

/** Goes on until a second has passed since the first answer from home: none should come from afar by then. */
async function keepAskingUntilHome(lanes: readonly Lane[], answers: Answered[]): Promise<void> {
  let untilMs = Infinity;
  await each(lanes, async (lane) => {
    while (performance.now() < untilMs) {
      const answer = await lane.ask(HOST);
      answers.push(answer);
      if (regionOf(answer) === NEAR) untilMs = Math.min(untilMs, answer.answeredMs + 1000);
      await delay(PAUSE_MS);
    }
  });
}

async function each(lanes: readonly Lane[], work: (lane: Lane) => Promise<void>): Promise<void> {
  await Promise.all(lanes.map(work));
}

function regionOf(answer: Answered): string {
  if (answer.status !== 200) throw new Error(`expected 200, got ${answer.status} ${answer.body}`);
  return answer.body.split(" ")[0]!;
}

function expectRegion(answer: Answered, region: string): void {
  if (regionOf(answer) !== region) throw new Error(`expected an answer from ${region}, got ${answer.body}`);
}

async function startFar({ adminUrl }: BenchNode): Promise<void> {
  await using admin = new AdminClient({ url: adminUrl, token: null });
  const far = (await admin.machines("hello")).find(({ region }) => region === FAR)!;
  await admin.act("start", "hello", far.id);
}

function appOf({ hasDetour, handshakeMs }: Variant): string {
  const program = fileURLToPath(new URL("detour/machine.mjs", import.meta.url));
  return `
app = "hello"
primary_region = "${NEAR}"
[env]
FAR_REGION = "${FAR}"
RTT_MS = "${RTT_MS}"
HANDSHAKE_MS = "${handshakeMs}"
[processes]
app = "[ $FLY_REGION = ${FAR} ] || sleep ${BOOT_MS / 1000}; exec '${process.execPath}' '${program}'"
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
regions = ["${NEAR}", "${FAR}"]
[http_service.concurrency]
type = "requests"
soft_limit = ${2 * AT_ONCE}
[kittiwake]
idle_timeout = "1h"
warm_detour = ${hasDetour}
`;
}
