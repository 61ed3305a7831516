// The built-in table: complete, well-formed, and with every city where its neighbours say it is.

import assert from "node:assert/strict";
import { test } from "node:test";

import { REGIONS } from "../../src/core/region-table.ts";
import { distanceKm } from "../../src/core/region.ts";

const FLY =
  "ams arn atl bog bom bos cdg den dfw ewr eze fra gdl gig gru hkg iad jnb lax lhr mad mia nrt ord otp phx qro scl sea sin sjc syd waw yul yyz";

const LARGE_CLOUDS =
  "akl bah bkk bru cgk cmh cph cpt del doh dub dxb hel hyd icn ist kix kul las lis los maa mel mnl mxp nbo osl pdx per ruh slc tlv tpe vie zrh";

test("the table has every region that Fly has or had", () => {
  const codes = new Set(REGIONS.map(({ code }) => code));
  assert.deepEqual(
    FLY.split(" ").filter((code) => !codes.has(code)),
    [],
  );
});

test("the table has the cities of the large clouds", () => {
  const codes = new Set(REGIONS.map(({ code }) => code));
  assert.deepEqual(
    LARGE_CLOUDS.split(" ").filter((code) => !codes.has(code)),
    [],
  );
});

test("every row is well-formed, and no code or position is there twice", () => {
  for (const { code, name, country, latitude, longitude } of REGIONS) {
    assert.match(code, /^[a-z]{3}$/);
    assert.match(country, /^[A-Z]{2}$/, code);
    assert.ok(name.length > 0, code);
    assert.ok(latitude > -60 && latitude < 70, code);
    assert.ok(longitude >= -180 && longitude <= 180, code);
  }
  assert.equal(new Set(REGIONS.map(({ code }) => code)).size, REGIONS.length);
  assert.equal(new Set(REGIONS.map(({ latitude, longitude }) => `${latitude} ${longitude}`)).size, REGIONS.length);
});

// A mistyped degree or sign moves a city by more than its own country.
const COUNTRY_RADIUS_KM: Readonly<Record<string, number>> = { US: 4500, CA: 4500, AU: 4500, BR: 4500, CN: 3500, IN: 3500, DE: 1000 };

test("regions of one country are near each other", () => {
  for (const one of REGIONS) {
    for (const other of REGIONS.filter(({ country }) => country === one.country)) {
      const km = distanceKm(one, other);
      assert.ok(km < (COUNTRY_RADIUS_KM[one.country] ?? 1500), `${one.code}-${other.code} is ${km.toFixed(0)} km`);
    }
  }
});

/** Great-circle distances as atlases have them. */
const KNOWN_DISTANCES: readonly (readonly [from: string, to: string, km: number])[] = [
  ["ams", "lhr", 358],
  ["ams", "otp", 1787],
  ["cdg", "mad", 1053],
  ["arn", "waw", 808],
  ["lhr", "ewr", 5567],
  ["iad", "lax", 3693],
  ["sea", "mia", 4400],
  ["yyz", "yul", 504],
  ["mia", "bog", 2430],
  ["bog", "eze", 4670],
  ["gru", "scl", 2580],
  ["jnb", "nbo", 2910],
  ["los", "lhr", 5000],
  ["dxb", "bom", 1930],
  ["tlv", "ist", 1130],
  ["del", "sin", 4150],
  ["hkg", "sin", 2580],
  ["nrt", "icn", 1160],
  ["nrt", "tpe", 2100],
  ["pek", "sha", 1067],
  ["syd", "mel", 713],
  ["syd", "akl", 2155],
  ["per", "sin", 3910],
  ["cgk", "mnl", 2790],
];

test("cities are as far apart as atlases say", () => {
  for (const [from, to, known] of KNOWN_DISTANCES) {
    const one = REGIONS.find(({ code }) => code === from) ?? assert.fail(from);
    const other = REGIONS.find(({ code }) => code === to) ?? assert.fail(to);
    const km = distanceKm(one, other);
    assert.ok(Math.abs(km - known) < 20 + known * 0.02, `${from}-${to}: ${km.toFixed(0)} km instead of ${known}`);
  }
});
