// Waking by the wall clock.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Alarm } from "../../src/core/alarm.ts";
import { ManualClock } from "../certs/fixtures.ts";

const HOUR_MS = 3_600_000;

describe("an alarm", () => {
  const never = new AbortController().signal;

  function start(): { readonly clock: ManualClock; readonly alarm: Alarm } {
    const clock = new ManualClock();
    return { clock, alarm: new Alarm({ now: clock.now, startTimer: clock.startTimer, longestMs: HOUR_MS }) };
  }

  test("wakes at its time, at an earlier one that is set meanwhile, and not at a later one", async () => {
    const { clock, alarm } = start();
    const first = alarm.sleep(clock.now() + 1000, never);
    alarm.wakeBy(clock.now() + 2000);
    assert.equal(await clock.nextTimerMs(), 1000);
    alarm.wakeBy(clock.now() + 500);
    assert.equal(await clock.nextTimerMs(), 500);
    clock.advance(500);
    await first;
  });

  test("wakes at once for a time that has passed, and when it is told to stop", async () => {
    const { clock, alarm } = start();
    await alarm.sleep(clock.now(), never);
    await alarm.sleep(Infinity, AbortSignal.abort());
    const stopping = new AbortController();
    const stopped = alarm.sleep(Infinity, stopping.signal);
    stopping.abort();
    await stopped;
    const told = alarm.sleep(Infinity, never);
    alarm.wakeBy(-Infinity);
    await told;
  });

  test("looks at the clock now and then, however far its time is", async () => {
    const { clock, alarm } = start();
    const sleeping = alarm.sleep(clock.now() + 30 * 24 * HOUR_MS, never);
    assert.equal(await clock.nextTimerMs(), HOUR_MS);
    clock.advance(HOUR_MS);
    await sleeping;
  });

  test("is not moved by news from before it slept", async () => {
    const { clock, alarm } = start();
    alarm.wakeBy(-Infinity);
    const sleeping = alarm.sleep(clock.now() + 1000, never);
    assert.equal(await clock.nextTimerMs(), 1000);
    clock.advance(1000);
    await sleeping;
  });
});
