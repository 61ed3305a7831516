// What the edge takes back of what it gave to clients: nothing that was changed, is another's, or has run out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SignedCookies } from "../../src/edge/signed-cookies.ts";
import { EditedFields } from "../../src/http/edited-head.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const key = (byte: number): Buffer => Buffer.alloc(32, byte);
const cookies = new SignedCookies({ keys: [key(1), key(2)], now: () => NOW_MS });
const set = (from: SignedCookies, { name = "own", app = "hello", text = "ams-1", forS = 60 } = {}): string =>
  from
    .set(name, app, { text, forS, isSecure: false })
    .replace(/;.*/, "")
    .slice(name.length + 1);
const read = (value: string, by = cookies, app = "hello") => by.read(EditedFields.of([["cookie", `a=b; own=${value}`]]), "own", app);
const good = set(cookies);
const [expires = "", mac = "", text = ""] = good.split(/\.(.*?)\.(.*)/);
const signedWith = (byte: number, nowMs = NOW_MS): SignedCookies => new SignedCookies({ keys: [key(byte)], now: () => nowMs });

test("what was signed is read, with when it expires", () => {
  assert.deepEqual(read(good), { text: "ams-1", expiresS: NOW_MS / 1000 + 60 });
  assert.deepEqual(read(set(cookies, { text: "a.b-c_d.9" }))?.text, "a.b-c_d.9");
});

test("it is set with what keeps it from scripts, other sites and plain connections", () => {
  const options = { text: "ams-1", forS: 60 };
  const plain = cookies.set("own", "hello", { ...options, isSecure: false });
  assert.equal(plain, `own=${good}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax`);
  assert.equal(cookies.set("own", "hello", { ...options, isSecure: true }), `${plain}; Secure`);
});

for (const [title, value] of [
  ["with another text", `${expires}.${mac}.ams-2`],
  ["that would expire later", `${(Number.parseInt(expires, 36) + 1).toString(36)}.${mac}.${text}`],
  ["with another signature", `${expires}.${mac.startsWith("A") ? "B" : "A"}${mac.slice(1)}.${text}`],
  ["whose signature ends otherwise", `${expires}.${mac.slice(0, -1)}${mac.endsWith("A") ? "B" : "A"}.${text}`],
  ["with a shorter signature", `${expires}.${mac.slice(0, -1)}.${text}`],
  ["with a longer signature", `${expires}.${mac}A.${text}`],
  ["without a signature", `${expires}..${text}`],
  ["cut off", good.slice(0, -1)],
  ["with more behind it", `${good}x`],
  ["in quotes", `"${good}"`],
  ["with its dots encoded", good.replaceAll(".", "%2e")],
  ["in capitals", good.toUpperCase()],
  ["with a text that is too long", set(cookies, { text: "x".repeat(65) })],
  ["with a text that has other characters", set(cookies, { text: "ams 1" })],
  ["empty", ""],
  ["of another name", set(cookies, { name: "own2" })],
  ["of another app", set(cookies, { app: "other" })],
  ["whose parts are joined at another place", set(cookies, { name: "own\nhello", app: "" })],
  ["signed with a key that is not known", set(signedWith(3))],
  ["that has just expired", set(signedWith(1, NOW_MS - 60_000))],
] as const) {
  test(`a cookie ${title} is none`, () => assert.equal(read(value), null));
}

test("one that a key before signed is good, and the first key signs", () => {
  assert.equal(read(set(signedWith(2)))?.text, "ams-1");
  assert.equal(read(good, signedWith(2)), null);
  assert.equal(read(good, signedWith(1))?.text, "ams-1");
});

test("other keys take their place at once", () => {
  const changing = signedWith(1);
  changing.setKeys([key(2), key(1)]);
  assert.equal(read(good, changing)?.text, "ams-1");
  assert.equal(read(set(changing), signedWith(2))?.text, "ams-1");
  changing.setKeys([key(2)]);
  assert.equal(read(good, changing), null);
});

test("the first good one of several counts, of few", () => {
  const fields = (values: readonly string[]): EditedFields => EditedFields.of(values.map((value) => ["cookie", `own=${value}`]));
  assert.equal(cookies.read(fields(["forged", good, set(cookies, { text: "ams-2" })]), "own", "hello")?.text, "ams-1");
  assert.equal(cookies.read(fields(["one", "two", "three", good]), "own", "hello"), null);
});

test("it expires by the clock, not before", () => {
  const clocked = signedWith(1);
  clocked.pass(59_999);
  assert.equal(read(good, clocked)?.text, "ams-1");
  clocked.pass(1);
  assert.equal(read(good, clocked), null);
});
