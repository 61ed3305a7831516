// Header names recognised from bytes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CHARACTERS, TOKEN } from "../../src/http/characters.ts";
import { FIELD, FIELD_COUNT, fieldId } from "../../src/http/field-names.ts";

const kebab = (key: string): string => key.replaceAll(/[A-Z]|(?<=http)2/g, (at) => (at === "2" ? at : `-${at.toLowerCase()}`));
/** Ids that several names share, by which alone they are known. */
const FAMILIES: Readonly<Record<string, readonly string[]>> = {
  flySteering: ["fly-prefer-region", "fly-force-region", "fly-prefer-instance-id", "fly-force-instance-id", "fly-replay-cache-control"],
  flyReplay: ["fly-replay", "fly-replay-cache", "fly-replay-cache-ttl-secs", "fly-replay-cache-allow-bypass"],
};
const names = Object.entries(FIELD).filter(([key]) => key !== "other" && key !== "withheld");
const idOf = (name: string): number => {
  const bytes = Buffer.from(`<<${name}>>`, "latin1");
  return fieldId(bytes, 2, 2 + Buffer.byteLength(name, "latin1"));
};

test("every known name is recognised, in any case", () => {
  for (const [key, id] of names) {
    for (const name of FAMILIES[key] ?? [kebab(key)]) {
      const odd = Array.from(name, (letter, index) => (index % 2 === 0 ? letter.toUpperCase() : letter)).join("");
      for (const form of [name, name.toUpperCase(), odd]) assert.equal(idOf(form), id, form);
    }
  }
});

test("ids are different and below their count", () => {
  const ids = names.map(([, id]) => id);
  assert.equal(new Set(ids).size, names.length);
  assert.ok(Math.max(...ids) < FIELD_COUNT);
  assert.ok(!ids.includes(FIELD.other as never));
});

test("a name that differs in one byte is another one, whichever byte a token may have there", () => {
  for (const [key] of names) {
    const name = kebab(key);
    for (let at = 0; at < name.length; at++) {
      for (let byte = 0; byte < 256; byte++) {
        if ((CHARACTERS[byte]! & TOKEN) === 0) continue;
        const changed = name.slice(0, at) + String.fromCharCode(byte) + name.slice(at + 1);
        if (changed.toLowerCase() === name) continue;
        assert.notEqual(idOf(changed), FIELD[key as keyof typeof FIELD], changed);
      }
    }
  }
});

test("a name with a byte more or less, or none, is another one", () => {
  for (const [key, id] of names) {
    const name = kebab(key);
    for (const form of [`${name}s`, `x${name}`, name.slice(1), name.slice(0, -1), ""]) assert.notEqual(idOf(form), id, form);
  }
  assert.equal(idOf("x".repeat(500)), FIELD.other);
});
