// The warnings before a certificate expires.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ExpiryAlarm } from "../../src/certs/expiry-alarm.ts";
import { lifetimeState } from "../../src/certs/lifetime.ts";
import type { StoredCertificate } from "../../src/certs/stored-certificate.ts";
import { ManualClock, recordingLog } from "./fixtures.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function certificate(hostname: string, fromMs: number, days: number, source: "acme" | "imported" = "imported"): StoredCertificate {
  return {
    ...{
      storeKey: `certs/${source}/${hostname}`,
      hostname,
      names: [hostname],
      source,
      certificatePem: "",
      sealedKey: "",
      fingerprint: hostname,
    },
    ...{ notBefore: new Date(fromMs), notAfter: new Date(fromMs + days * DAY_MS) },
  };
}

test("a certificate expires soon two weeks before its end, or in the last sixth of a short life", () => {
  const cases: [days: number, afterDays: number, state: string][] = [
    [90, -0.1, "not_yet_valid"],
    [90, 75.9, "valid"],
    [90, 76, "expires_soon"],
    [90, 89.9, "expires_soon"],
    [90, 90, "expired"],
    [6, 4.9, "valid"],
    [6, 5, "expires_soon"],
    [365, 350, "valid"],
    [365, 351, "expires_soon"],
  ];
  for (const [days, afterDays, state] of cases) {
    assert.equal(lifetimeState(certificate("a", 0, days), afterDays * DAY_MS), state, `${afterDays} of ${days} days`);
  }
});

test("the log warns once a day of each certificate that is served and expires soon, until it does or is replaced", async () => {
  const clock = new ManualClock();
  const { log, messages } = recordingLog();
  let served = [
    certificate("a.example", clock.now(), 90),
    certificate("b.example", clock.now(), 365, "acme"),
    certificate("c.example", clock.now(), 90),
  ];
  const isServed = ({ hostname }: StoredCertificate): boolean => hostname !== "c.example";
  const alarm = new ExpiryAlarm({ certificates: () => served, isServed, log, now: clock.now, startTimer: clock.startTimer });
  const stopping = new AbortController();
  const running = alarm.run(stopping.signal);
  const pass = async (hours: number): Promise<number> => {
    const before = messages.length;
    for (let hour = 0; hour < hours; hour++) {
      assert.equal(await clock.nextTimerMs(), HOUR_MS);
      clock.advance(HOUR_MS);
      await new Promise(setImmediate);
    }
    return messages.length - before;
  };
  assert.equal(await pass(76 * 24 - 1), 0);
  assert.equal(await pass(1), 1);
  assert.match(messages[0]!, /^a certificate expires soon: import its successor/);
  assert.equal(await pass(23), 0);
  assert.equal(await pass(25), 2);
  served = [certificate("a.example", clock.now(), 90)];
  assert.equal(await pass(48), 0);
  stopping.abort();
  await running;
});
