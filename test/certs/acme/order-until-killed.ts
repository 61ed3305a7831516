// Orders one certificate and dies at one step of it, as by kill -9: before a request to the CA, after its answer, or after a write to the store.
// Run by killed-orders.pebble.test.ts; prints "done" when the order has fewer steps.

import { subscribe } from "node:diagnostics_channel";
import { SqliteStore } from "../../../src/state/sqlite-store.ts";
import { fileChallenges, leaseOf, openIssuer, publishers } from "./fixtures.ts";

export interface DoomedOrder {
  readonly name: string;
  /** At which it dies. */
  readonly step: number;
  readonly storePath: string;
  readonly directory: string;
  readonly caFile: string;
  /** Challenges are answered with the files in it, by token. */
  readonly challenges: string;
  readonly leaseMs: number;
}

const { name, step: last, storePath, directory, caFile, challenges, leaseMs } = JSON.parse(process.argv[2]!) as DoomedOrder;

const store = new SqliteStore({ path: storePath });
const fence = await leaseOf(store, name, leaseMs);

let steps = 0;
function step(): void {
  steps += 1;
  if (steps === last) process.kill(process.pid, "SIGKILL");
}

// Between an answer and the next request are all writes to the store, and changes of challenges.
subscribe("undici:request:create", step);
subscribe("undici:request:headers", step);

const put = store.put.bind(store);
store.put = async (...given) => {
  const revision = await put(...given);
  step();
  return revision;
};

const issuer = await openIssuer({ directory, caFile, store, publishers: publishers(["http-01", fileChallenges(challenges)]) });
await issuer.issue(name, { signal: new AbortController().signal, fence });
await issuer.settle(name, fence);
console.log("done");
await issuer.close();
await store.close();
