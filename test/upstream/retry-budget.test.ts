// How many requests may be sent again (reference section 3.5, DESIGN Routing).

import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryBudget } from "../../src/upstream/retry-budget.ts";
import { createRandom } from "../support/random.ts";

/** How many may be sent again now, one after another. */
function left(budget: RetryBudget, nowMs: number): number {
  let count = 0;
  while (budget.take(nowMs)) count++;
  return count;
}

for (const [title, requests, retries] of [
  ["no request", 0, 100],
  ["few requests: ten a second", 499, 100],
  ["as many as give more than that: a fifth", 1000, 200],
  ["many: a fifth", 12_345, 2469],
] as const) {
  test(`(3.5) with ${title} in ten seconds`, () => {
    const budget = new RetryBudget();
    for (let i = 0; i < requests; i++) budget.count((i * 4999) / requests);
    assert.equal(left(budget, 4999), retries);
    assert.equal(left(budget, 9000), 0, "it is used up for five seconds at least");
    assert.equal(left(budget, 30_000), 100, "and forgotten after ten");
  });
}

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
test(`(3.5) over any ten seconds no more are sent again than the least and a fifth of the requests of twenty (seed ${seed})`, () => {
  const random = createRandom(seed);
  const budget = new RetryBudget();
  const requests: number[] = [];
  const retries: number[] = [];
  let nowMs = 0;
  for (let i = 0; i < 20_000; i++) {
    nowMs += random() < 0.001 ? random() * 12_000 : random() * 8;
    budget.count(nowMs);
    requests.push(nowMs);
    // As of a service that fails every request: each is sent again as often as it may.
    while (random() < 0.8) if (budget.take(nowMs)) retries.push(nowMs);
  }
  const within = (times: readonly number[], from: number, to: number): number => times.filter((at) => at > from && at <= to).length;
  for (let at = 5000; at < nowMs; at += 3777) {
    const sent = within(retries, at - 5000, at);
    // Five seconds lie in two windows of counting at most.
    const most = 2 * (100 + 0.2 * within(requests, at - 15_000, at));
    assert.ok(sent <= most, `${sent} of ${most} until ${at}`);
  }
  assert.ok(retries.length > 1000, "the test is of no use where none is sent again");
});
