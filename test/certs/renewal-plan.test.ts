// When a certificate is ordered, renewed and asked about, and when again after a failure.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  afterFailure,
  nextStep,
  planRenewal,
  renewalByLifetime,
  type AttemptsRecord,
  type OrderFailure,
  type RenewalRecord,
  type Suggestion,
} from "../../src/certs/renewal-plan.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2030, 0, 1);

const own = { fingerprint: "aa", directory: "d", isForeign: false, notBeforeMs: NOW_MS, notAfterMs: NOW_MS + 90 * DAY_MS };
const nothing = { own: null, cover: null, renewal: null, attempts: null };
const clock = { nowMs: NOW_MS, random: () => 0.5 };
const plan: RenewalRecord = {
  fingerprint: "aa",
  directory: "d",
  renewAtMs: NOW_MS + 60 * DAY_MS,
  window: null,
  askAtMs: null,
  askFailures: 0,
  explanationUrl: null,
  firstOrderedAtMs: NOW_MS,
};

function suggestion(startMs: number, endMs: number, more: Partial<Suggestion> = {}): Suggestion {
  return { window: { startMs, endMs }, explanationUrl: null, retryAfterMs: 6 * HOUR_MS, ...more };
}

describe("by its lifetime, a certificate is renewed", () => {
  test("after two thirds, and up to a tenth later by chance", () => {
    assert.equal(renewalByLifetime(own, 0), NOW_MS + 60 * DAY_MS);
    assert.equal(renewalByLifetime(own, 1), NOW_MS + 69 * DAY_MS);
  });

  test("after half of its six days, so that two are left for what goes wrong", () => {
    const short = { notBeforeMs: NOW_MS, notAfterMs: NOW_MS + 6 * DAY_MS };
    assert.equal(renewalByLifetime(short, 0), NOW_MS + 3 * DAY_MS);
    assert.equal(renewalByLifetime(short, 1), NOW_MS + 3.6 * DAY_MS);
  });
});

describe("the next step of a name", () => {
  test("without a certificate is an order, now", () => {
    const { kind, atMs } = nextStep(nothing);
    assert.equal(kind, "order");
    assert.ok(atMs <= NOW_MS);
  });

  test("with a certificate that nothing is planned for is a plan, now", () => {
    for (const renewal of [null, { ...plan, fingerprint: "the one before" }]) {
      const { kind, atMs } = nextStep({ ...nothing, own, renewal });
      assert.equal(kind, "plan");
      assert.ok(atMs <= NOW_MS);
    }
  });

  test("is the planned order, or the question before it", () => {
    assert.deepEqual(nextStep({ ...nothing, own, renewal: plan }), { kind: "order", atMs: plan.renewAtMs });
    const asking = { ...plan, askAtMs: NOW_MS + HOUR_MS };
    assert.deepEqual(nextStep({ ...nothing, own, renewal: asking }), { kind: "plan", atMs: asking.askAtMs });
    assert.equal(nextStep({ ...nothing, own, renewal: { ...plan, askAtMs: plan.renewAtMs + 1 } }).kind, "order");
  });

  test("of a certificate of another authority is an order within the hour, and not at once", () => {
    const foreign = { ...own, isForeign: true };
    assert.deepEqual(nextStep({ ...nothing, own: foreign, renewal: plan }), { kind: "order", atMs: NOW_MS + HOUR_MS });
  });

  test("waits for the back-off, and the authority can still call for a renewal meanwhile", () => {
    const attempts = { retryAtMs: NOW_MS + 70 * DAY_MS } as AttemptsRecord;
    assert.deepEqual(nextStep({ ...nothing, own, renewal: plan, attempts }), { kind: "order", atMs: attempts.retryAtMs });
    assert.deepEqual(nextStep({ ...nothing, attempts }), { kind: "order", atMs: attempts.retryAtMs });
    assert.equal(nextStep({ ...nothing, own, renewal: { ...plan, askAtMs: NOW_MS }, attempts }).kind, "plan");
  });

  test("of a name that another certificate serves is an order in that one's last fifth", () => {
    const cover = { notBeforeMs: NOW_MS, notAfterMs: NOW_MS + 100 * DAY_MS };
    assert.deepEqual(nextStep({ ...nothing, cover }), { kind: "order", atMs: NOW_MS + 80 * DAY_MS });
    assert.deepEqual(nextStep({ ...nothing, cover, own, renewal: plan }), { kind: "order", atMs: NOW_MS + 80 * DAY_MS });
  });
});

describe("a plan", () => {
  test("is a moment in the suggested window, kept until the window changes", () => {
    const startMs = NOW_MS + 50 * DAY_MS;
    const first = planRenewal(own, null, suggestion(startMs, startMs + 2 * DAY_MS), clock);
    assert.equal(first.renewAtMs, startMs + DAY_MS);
    const again = planRenewal(own, first, suggestion(startMs, startMs + 2 * DAY_MS), { ...clock, random: () => 0.9 });
    assert.equal(again.renewAtMs, first.renewAtMs);
    const moved = planRenewal(own, again, suggestion(NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS), { ...clock, random: () => 0.9 });
    assert.ok(moved.renewAtMs < NOW_MS, "a window in the past means now");
  });

  test("asks again when the authority says, but within a minute and a day", () => {
    const asked = (retryAfterMs: number | null): number =>
      planRenewal(own, null, suggestion(NOW_MS, NOW_MS + DAY_MS, { retryAfterMs }), clock).askAtMs! - NOW_MS;
    assert.equal(asked(3 * HOUR_MS), 3 * HOUR_MS);
    assert.equal(asked(0), MINUTE_MS);
    assert.equal(asked(30 * DAY_MS), DAY_MS);
    assert.equal(asked(null), 6 * HOUR_MS);
  });

  test("goes by the lifetime while the authority gives no answer, or has none to give", () => {
    const silent = planRenewal(own, null, null, clock);
    assert.equal(silent.renewAtMs, renewalByLifetime(own, 0.5));
    assert.ok(silent.askAtMs! > NOW_MS && silent.askAtMs! <= NOW_MS + 5 * MINUTE_MS);
    const stillSilent = planRenewal(own, { ...silent, askFailures: 20 }, null, clock);
    assert.equal(stillSilent.renewAtMs, silent.renewAtMs);
    assert.ok(stillSilent.askAtMs! <= NOW_MS + 6 * HOUR_MS);
    assert.equal(planRenewal(own, null, "none", clock).askAtMs, null);
  });

  test("keeps a suggested moment while the authority is away", () => {
    const startMs = NOW_MS + 50 * DAY_MS;
    const first = planRenewal(own, null, suggestion(startMs, startMs + DAY_MS, { explanationUrl: "https://ca.example/why" }), clock);
    const later = planRenewal(own, first, null, clock);
    assert.deepEqual({ ...later, askAtMs: 0, askFailures: 0 }, { ...first, askAtMs: 0 });
  });

  test("of the next certificate starts anew, and remembers only when the name had its first", () => {
    const startMs = NOW_MS + 50 * DAY_MS;
    const first = planRenewal(own, null, suggestion(startMs, startMs + DAY_MS), clock);
    const renewed = { fingerprint: "bb", directory: "d", notBeforeMs: startMs, notAfterMs: startMs + 90 * DAY_MS };
    const next = planRenewal(renewed, first, null, clock);
    assert.equal(next.renewAtMs, renewalByLifetime(renewed, 0.5));
    assert.equal(next.window, null);
    assert.equal(next.firstOrderedAtMs, NOW_MS);
    assert.equal(planRenewal({ ...renewed, directory: "another" }, first, null, clock).firstOrderedAtMs, startMs);
  });
});

describe("after a failure", () => {
  const refused: OrderFailure = { kind: "refused", error: "no", directory: "d", retryAfterMs: null, refusals: 2 };

  function fail(
    times: number,
    failure: Partial<OrderFailure>,
    servedUntilMs: number | null = null,
  ): { record: AttemptsRecord; pausesMs: number[] } {
    let record: AttemptsRecord | null = null;
    let nowMs = NOW_MS;
    const pausesMs: number[] = [];
    for (let count = 0; count < times; count++) {
      record = afterFailure(record, { ...refused, ...failure }, servedUntilMs, { nowMs, random: () => 0 });
      pausesMs.push(record.retryAtMs - nowMs);
      nowMs = record.retryAtMs;
    }
    return { record: record!, pausesMs };
  }

  test("pauses grow up to a cap: six hours for a name that is refused, one for an authority that is away", () => {
    const away = fail(12, { kind: "failed", refusals: 0 }).pausesMs;
    assert.deepEqual(away.slice(0, 4), [MINUTE_MS / 2, MINUTE_MS, 2 * MINUTE_MS, 4 * MINUTE_MS]);
    assert.equal(away.at(-1), HOUR_MS / 2);
    assert.equal(fail(20, { refusals: 0 }).pausesMs.at(-1), 3 * HOUR_MS);
  });

  test("no name has five validations fail within an hour", () => {
    for (const refusals of [1, 2]) {
      let record: AttemptsRecord | null = null;
      const failedAtMs: number[] = [];
      for (let nowMs = NOW_MS; nowMs < NOW_MS + DAY_MS; nowMs = record.retryAtMs) {
        for (let count = 0; count < refusals; count++) failedAtMs.push(nowMs);
        record = afterFailure(record, { ...refused, refusals }, null, { nowMs, random: () => 0 });
      }
      for (const atMs of failedAtMs) {
        const inHour = failedAtMs.filter((other) => other >= atMs && other < atMs + HOUR_MS).length;
        assert.ok(inHour <= 5, `${inHour} within an hour`);
      }
      assert.ok(failedAtMs.length > 8, "it goes on trying");
    }
  });

  test("the authority's Retry-After is heeded, a week at most, and those sent away together come back apart", () => {
    const limited = { kind: "limited", refusals: 0, retryAfterMs: 3 * HOUR_MS } as const;
    const record = afterFailure(null, { ...refused, ...limited }, null, { nowMs: NOW_MS, random: () => 0.5 });
    assert.equal(record.limitedUntilMs, NOW_MS + 3 * HOUR_MS);
    assert.equal(record.retryAtMs, NOW_MS + 3 * HOUR_MS + MINUTE_MS / 2);
    assert.ok(fail(1, { ...limited, retryAfterMs: 400 * DAY_MS }).record.retryAtMs <= NOW_MS + 7 * DAY_MS);
  });

  test("a certificate near its end is tried for more often", () => {
    const pausesMs = fail(8, { kind: "failed", refusals: 0 }, NOW_MS + 2 * HOUR_MS).pausesMs;
    assert.ok(Math.max(...pausesMs) <= 12 * MINUTE_MS, String(pausesMs));
  });

  test("what is written down survives being JSON", () => {
    const { record } = fail(3, {});
    assert.deepEqual(JSON.parse(JSON.stringify(record)), record);
  });
});
