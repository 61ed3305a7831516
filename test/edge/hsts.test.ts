import assert from "node:assert/strict";
import { test } from "node:test";

import { hstsValue } from "../../src/edge/hsts.ts";

const DAY_S = 86_400;
const auto = { maxAgeS: null, includeSubdomains: false, preload: false };

test("what browsers are told grows with the time that went well", () => {
  const ages = ([0, 1, 1 / DAY_S - 1e-9, 1 - 1e-9, 1, 7 - 1e-9, 7, 30 - 1e-9, 30, 4000] as const).map((days) =>
    hstsValue(auto, days * DAY_S),
  );
  const [minutes, day, week, halfAYear] = ["max-age=300", "max-age=86400", "max-age=604800", "max-age=15552000"];
  assert.deepEqual(ages, [minutes, day, minutes, minutes, day, day, week, week, halfAYear, halfAYear]);
});

test("it begins small by a clock that was set back", () => {
  assert.equal(hstsValue(auto, -DAY_S), "max-age=300");
});

test("an age that is given is told from the first day, and 0 takes it back", () => {
  assert.equal(hstsValue({ ...auto, maxAgeS: 31_536_000 }, 0), "max-age=31536000");
  assert.equal(hstsValue({ ...auto, maxAgeS: 0 }, 4000 * DAY_S), "max-age=0");
});

test("names below and the list of browsers are named as the standard has them", () => {
  const all = { maxAgeS: 63_072_000, includeSubdomains: true, preload: true };
  assert.equal(hstsValue(all, 0), "max-age=63072000; includeSubDomains; preload");
});
