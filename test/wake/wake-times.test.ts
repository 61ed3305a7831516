import assert from "node:assert/strict";
import { test } from "node:test";

import { WakeTimes } from "../../src/wake/wake-times.ts";

test("a wake is expected to take what Fly's users see, until there was one (reference section 6.2)", () => {
  const times = new WakeTimes();
  const states = ["started", "suspended", "suspending", "stopped", "created", "starting"] as const;
  assert.deepEqual(
    states.map((state) => times.expectedMs("hello", state)),
    [0, 300, 300, 2000, 2000, 300],
  );
});

test("what it takes is learned by app and by state, the newest wake for three tenths", () => {
  const times = new WakeTimes();
  times.learn("hello", "stopped", 1000);
  times.learn("hello", "created", 2000);
  times.learn("hello", "suspended", 10);
  assert.deepEqual([times.expectedMs("hello", "stopped"), times.expectedMs("hello", "suspended")], [1300, 10]);
  assert.equal(times.expectedMs("other", "stopped"), 2000);
  times.forget("hello");
  assert.equal(times.expectedMs("hello", "stopped"), 2000);
});

test("a start that somebody joined teaches nothing", () => {
  const times = new WakeTimes();
  times.learn("hello", "starting", 5);
  assert.equal(times.expectedMs("hello", "stopped"), 2000);
});
