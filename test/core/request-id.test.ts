// Request ids and trace contexts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RequestIds } from "../../src/core/request-id.ts";

const ULID = /^[0-9A-HJKMNP-TV-Z]{26}-ams$/;

test("a request id is a ULID and the region of the edge", () => {
  assert.match(new RequestIds("ams").next(Date.now()), ULID);
});

test("an id begins with its time, as the ULID specification encodes it", () => {
  const ids = new RequestIds("ams");
  assert.equal(ids.next(1469918176385).slice(0, 10), "01ARYZ6S41");
  assert.equal(ids.next(0).slice(0, 10), "0000000000");
  assert.equal(ids.next(2 ** 48 - 1).slice(0, 10), "7ZZZZZZZZZ");
  assert.equal(ids.next(1469918176385.9).slice(0, 10), "01ARYZ6S41");
});

test("ids sort by time", () => {
  const ids = new RequestIds("ams");
  const times = Array.from({ length: 200 }, (_, index) => 1.7e12 + index * 977);
  const made = times.map((time) => ids.next(time));
  assert.deepEqual(made, made.toSorted());
});

test("no two ids are the same, however many of one millisecond", () => {
  const ids = new RequestIds("ams");
  const made = new Set(Array.from({ length: 50_000 }, () => ids.next(1)));
  assert.equal(made.size, 50_000);
});

test("every character of an id is drawn evenly", () => {
  const ids = new RequestIds("ams");
  const counts = new Map<string, number>();
  for (let made = 0; made < 4000; made++)
    for (const character of ids.next(1).slice(10, 26)) counts.set(character, (counts.get(character) ?? 0) + 1);
  assert.equal(counts.size, 32);
  // 64 000 characters: 2000 of each, with a standard deviation of 44.
  for (const [character, count] of counts) assert.ok(Math.abs(count - 2000) < 300, `${character} came ${count} times`);
});

test("a trace context is one that the specification allows, and is not sampled", () => {
  const ids = new RequestIds("ams");
  const made = Array.from({ length: 2000 }, () => ids.traceparent());
  for (const context of made) assert.match(context, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00$/);
  assert.equal(new Set(made).size, made.length);
  assert.equal(new Set(made.map((context) => context.slice(36, 52))).size, made.length);
});

test("ids and trace contexts never share their randomness", () => {
  const ids = new RequestIds("ams");
  for (let round = 0; round < 2000; round++) {
    assert.match(ids.next(round), ULID);
    assert.match(ids.traceparent(), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  }
});
