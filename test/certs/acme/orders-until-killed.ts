// Orders certificates side by side, each of which comes to a stand at a step of its own: before a request to the CA, after its answer, or after
// a write to the store. When all of them stand still the process dies, as by kill -9. Run by killed-orders.pebble.test.ts; prints the names
// whose orders had fewer steps.

import { AsyncLocalStorage } from "node:async_hooks";
import { Agent, type Dispatcher } from "undici";
import { SqliteStore } from "../../../src/state/sqlite-store.ts";
import { fileChallenges, leaseOf, openIssuer, publishers } from "./fixtures.ts";

export interface DoomedOrders {
  /** Each with the step that is its last. */
  readonly orders: readonly { readonly name: string; readonly step: number }[];
  readonly storePath: string;
  readonly directory: string;
  /** Challenges are answered with the files in it, by token. */
  readonly challenges: string;
  readonly leaseMs: number;
}

const { orders, storePath, directory, challenges, leaseMs } = JSON.parse(process.argv[2]!) as DoomedOrders;

/** What an order has done so far. */
class Steps {
  readonly stopped = Promise.withResolvers<"stopped">();
  readonly #last: number;
  #count = 0;

  constructor(last: number) {
    this.#last = last;
  }

  /** Takes one; true from the last one on: nothing may happen any more. */
  take(): boolean {
    this.#count += 1;
    if (this.#count === this.#last) this.stopped.resolve("stopped");
    return this.isOver;
  }

  get isOver(): boolean {
    return this.#count >= this.#last;
  }
}

const stepsOf = new AsyncLocalStorage<Steps>();

// Between an answer and the next request are all writes to the store, and changes of challenges.
const dispatch = Agent.prototype.dispatch;
Agent.prototype.dispatch = function (options, handler) {
  const steps = stepsOf.getStore()!;
  return steps.take() || dispatch.call(this, options, heardUntil(steps, handler));
};

function heardUntil(steps: Steps, handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  return {
    onRequestStart: (...given) => handler.onRequestStart?.(...given),
    onResponseStart: (...given) => void (steps.take() || handler.onResponseStart?.(...given)),
    onResponseData: (...given) => void (steps.isOver || handler.onResponseData?.(...given)),
    onResponseEnd: (...given) => void (steps.isOver || handler.onResponseEnd?.(...given)),
    onResponseError: (...given) => void (steps.isOver || handler.onResponseError?.(...given)),
  };
}

async function order(name: string, steps: Steps): Promise<"done"> {
  const store = new SqliteStore({ path: storePath });
  const fence = await leaseOf(store, name, leaseMs);
  const put = store.put.bind(store);
  store.put = async (...given) => {
    const revision = await put(...given);
    if (steps.take()) await new Promise(() => {});
    return revision;
  };
  const issuer = await openIssuer({ directory, store, publishers: publishers(["http-01", fileChallenges(challenges)]) });
  await issuer.issue(name, { signal: new AbortController().signal, fence });
  await issuer.settle(name, fence);
  await issuer.close();
  await store.close();
  return "done";
}

const outcomes = orders.map(async ({ name, step }) => {
  const steps = new Steps(step);
  if ((await Promise.race([stepsOf.run(steps, () => order(name, steps)), steps.stopped.promise])) === "done") console.log(name);
});
await Promise.all(outcomes);
process.kill(process.pid, "SIGKILL");
