// Full handshakes of a name that has its certificate, while the authority answers, and while it hangs with orders of many other names before it
// whose clients wait. The 99th percentile must stay within three times of what it was. Exit code 1 where it does not.
//
//     node bench/hanging-authority.ts [--rounds N] [--seconds N] [--names N]

import { parseArgs } from "node:util";
import { AuthorityNode } from "../test/certificates/authority.ts";
import { runOwnLoad } from "./load/own-program.ts";
import type { LoadResult } from "./load/result.ts";
import { median } from "./measure.ts";
import { startBackend } from "./start-backend.ts";
import { wholeNumber } from "./whole-number.ts";

const KNOWN = "known.example.com";
const LANES = 4;
const MOST_TIMES = 3;
/** Other clients that wait for a certificate all the while. */
const WAITING = 50;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    names: { type: "string", default: "500" },
  },
});
const rounds = wholeNumber("rounds", values.rounds);
const seconds = wholeNumber("seconds", values.seconds);
const others = Array.from({ length: wholeNumber("names", values.names) }, (_, index) => `other-${index}.example.com`);

const results: { readonly quiet: LoadResult; readonly hanging: LoadResult }[] = [];
for (let round = 0; round < rounds; round++) results.push(await measure());

const of = (pick: (result: (typeof results)[number]) => number): number => median(results.map(pick));
const times = of(({ quiet, hanging }) => hanging.p99Ms / quiet.p99Ms);
console.log(`${rounds} × ${seconds} s, full handshakes of one name in ${LANES} lanes; ${others.length} names without a certificate\n`);
console.log("| authority | handshakes/s | p50 ms | p99 ms |");
console.log("|---|---|---|---|");
for (const kind of ["quiet", "hanging"] as const) {
  const cells = [
    of((r) => r[kind].count / r[kind].seconds).toFixed(0),
    of((r) => r[kind].p50Ms).toFixed(2),
    of((r) => r[kind].p99Ms).toFixed(2),
  ];
  console.log(`| ${kind === "quiet" ? "answers" : "hangs"} | ${cells.join(" | ")} |`);
}
console.log(`\np99 × ${times.toFixed(2)}: ${times <= MOST_TIMES ? "holds" : `above ${MOST_TIMES}`}`);
if (times > MOST_TIMES) process.exitCode = 1;
// What hangs is left behind.
process.exit();

async function measure(): Promise<(typeof results)[number]> {
  await using backend = await startBackend();
  await using node = await AuthorityNode.start({ hostnames: [KNOWN], machinePort: backend.port });
  await node.handshake(KNOWN);
  const load = { port: node.test.httpsPort, host: KNOWN, lanes: LANES, seconds, resumes: false };
  const quiet = await runOwnLoad("tls-connections.ts", load);
  node.fake.script = () => "hang";
  await node.declare(KNOWN, ...others);
  const stopping = new AbortController();
  for (const name of others.slice(0, WAITING)) void keepAsking(node, name, stopping.signal);
  const hanging = await runOwnLoad("tls-connections.ts", load);
  stopping.abort();
  return { quiet, hanging };
}

async function keepAsking(node: AuthorityNode, name: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await node.handshake(name).catch(() => {});
}
