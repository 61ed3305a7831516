// What a worker remembers of how long its machines take to answer, and of which have just woken.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ResponseTimes } from "../../src/routing/response-times.ts";
import { WarmUp } from "../../src/routing/warm-up.ts";

describe("the response time of a machine", () => {
  test("is not known before its first answer, and then is that", () => {
    const times = new ResponseTimes();
    assert.equal(times.of(3, 0), 0);
    times.observe(3, 25, 0);
    assert.deepEqual([times.of(3, 0), times.of(4, 0)], [25, 0]);
  });

  test("follows what answers take by now, within a second or so", () => {
    const times = new ResponseTimes();
    for (let ms = 0; ms < 1000; ms += 100) times.observe(0, 10, ms);
    for (let ms = 1000; ms < 6000; ms += 100) times.observe(0, 50, ms);
    assert.ok(Math.abs(times.of(0, 6000) - 50) < 1, String(times.of(0, 6000)));
  });

  test("moves little with one slow answer, however slow, and far with many", () => {
    const times = new ResponseTimes();
    times.observe(0, 10, 0);
    times.observe(0, 60_000, 0);
    assert.ok(times.of(0, 0) < 16, String(times.of(0, 0)));
    for (let n = 0; n < 40; n++) times.observe(0, 1000, 0);
    assert.ok(times.of(0, 0) > 700, String(times.of(0, 0)));
  });

  test("is forgotten when nothing confirms it, so that whoever was slow gets another chance", () => {
    const times = new ResponseTimes();
    times.observe(0, 5000, 0);
    assert.deepEqual([times.of(0, 10_000), times.of(0, 10_001)], [5000, 0]);
    times.observe(0, 3, 10_001);
    assert.equal(times.of(0, 10_001), 3);
  });

  test("is never nothing once it is known", () => {
    const times = new ResponseTimes();
    times.observe(0, 0, 0);
    assert.ok(times.of(0, 0) > 0);
  });
});

describe("the share of a machine", () => {
  test("grows for ten seconds after it woke, from a tenth to the whole", () => {
    const warmUp = new WarmUp();
    warmUp.learn(0, "suspended", 0);
    warmUp.learn(0, "starting", 500);
    warmUp.learn(0, "started", 1000);
    warmUp.learn(0, "started", 4000);
    const shares = [1000, 1500, 3500, 8000, 11_000, 60_000].map((nowMs) => warmUp.share(0, nowMs));
    assert.deepEqual(shares, [0.1, 0.1, 0.25, 0.7, 1, 1]);
  });

  test("is the whole for one that ran when it was first heard of, and grows anew with each wake", () => {
    const warmUp = new WarmUp();
    warmUp.learn(0, "started", 0);
    assert.equal(warmUp.share(0, 0), 1);
    warmUp.learn(0, "stopped", 60_000);
    warmUp.learn(0, "started", 61_000);
    assert.deepEqual([warmUp.share(0, 61_000), warmUp.share(0, 66_000), warmUp.share(1, 61_000)], [0.1, 0.5, 1]);
  });
});
