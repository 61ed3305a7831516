import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { OperationQueue } from "../../src/wake/operation-queue.ts";

describe("operations on one machine", () => {
  it("run one after the other, in the order in which they were asked for", async () => {
    const queue = new OperationQueue();
    const log: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = queue.run("a", async () => {
      log.push("a begins");
      await gate.promise;
      log.push("a ends");
    });
    const second = queue.run("b", async () => void log.push("b"));
    assert.equal(queue.idle, false);
    gate.resolve();
    await Promise.all([first, second]);
    assert.deepEqual(log, ["a begins", "a ends", "b"]);
    assert.equal(queue.idle, true);
  });

  it("are joined when the same was asked for last, and only then", async () => {
    const queue = new OperationQueue();
    let runs = 0;
    const work = async (): Promise<number> => ++runs;
    const results = await Promise.all([queue.run("a", work), queue.run("a", work), queue.run("b", work), queue.run("a", work)]);
    assert.deepEqual(results, [1, 1, 2, 3]);
  });

  it("go on after one that failed, which is not joined any more", async () => {
    const queue = new OperationQueue();
    const failing = queue.run("a", () => Promise.reject(new Error("no")));
    const next = queue.run("b", async () => "yes");
    await assert.rejects(failing, { message: "no" });
    assert.equal(await next, "yes");
    await assert.rejects(
      queue.run("a", () => Promise.reject(new Error("no again"))),
      { message: "no again" },
    );
    assert.equal(await queue.run("a", async () => "fresh"), "fresh");
  });

  it("can queue their own successor", async () => {
    const queue = new OperationQueue();
    const log: number[] = [];
    await queue.run("a", async () => {
      log.push(1);
      queue.append("a", async () => void log.push(2));
    });
    await queue.settled();
    assert.deepEqual(log, [1, 2]);
  });
});
