// A million requests over 64 keep-alive connections to a node with two workers: every error is printed, and the node's resident memory at each
// tenth, which must be flat over the second half. Takes another number of requests as its argument:
//
//     node bench/soak.ts [requests]

import { parseArgs } from "node:util";
import autocannon from "autocannon";
import { backendApp, startKittiwake } from "./kittiwake.ts";
import { residentMb } from "./measure.ts";
import { startBackend } from "./start-backend.ts";

const CONNECTIONS = 64;
const WORKERS = 2;
/** Growth from the middle to the end that still counts as flat: what a heap breathes. */
const FLAT_SHARE = 0.05;

const { positionals } = parseArgs({ allowPositionals: true });
const amount = Number(positionals[0] ?? 1_000_000);
if (!Number.isInteger(amount) || amount < 10 * CONNECTIONS)
  throw new Error(`expected a number of requests from ${10 * CONNECTIONS}, got "${positionals[0]}"`);

await using backend = await startBackend();
await using node = await startKittiwake({ bench: backendApp(backend.port) }, {}, WORKERS);

const tenths: number[] = [];
let responses = 0;
const startedMs = performance.now();
console.log(`${amount} requests, ${CONNECTIONS} connections, ${WORKERS} workers; ${residentMb(node.pid).toFixed(1)} MB before`);
const run = autocannon({
  url: `http://127.0.0.1:${node.httpPort}/`,
  headers: { host: "bench.localhost" },
  amount,
  connections: CONNECTIONS,
});
run.on("response", () => {
  if (++responses % Math.ceil(amount / 10) !== 0 && responses !== amount) return;
  tenths.push(residentMb(node.pid));
  console.log(`${String(responses).padStart(9)} responses  ${tenths.at(-1)!.toFixed(1)} MB`);
});
const { errors, non2xx, requests } = await run;

const seconds = (performance.now() - startedMs) / 1000;
console.log(`${requests.total} requests in ${seconds.toFixed(1)} s, ${errors} errors, ${non2xx} responses other than 2xx`);
const middle = tenths[4] ?? 0;
const most = Math.max(...tenths.slice(5));
const growth = most / middle - 1;
console.log(`most resident memory of the second half: ${most.toFixed(1)} MB, ${(growth * 100).toFixed(1)} % against the middle`);
if (errors > 0 || non2xx > 0 || requests.total !== amount || growth > FLAT_SHARE) process.exitCode = 1;
