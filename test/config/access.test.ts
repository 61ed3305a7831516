import assert from "node:assert/strict";
import { test } from "node:test";

import type { AccessRules } from "../../src/core/app.ts";
import { linesOf, loadFiles } from "./files.ts";

test("[kittiwake.access] becomes rules, and none where it asks for nothing", (t) => {
  const rules = (text: string): AccessRules | null => {
    const config = loadFiles(t, {
      "kittiwake.toml": 'region = "ams"\napps = ["hello.toml"]',
      "hello.toml": `app = "hello"\n[processes]\napp = "serve"\n[kittiwake.access]\n${text}`,
    });
    assert.ok(config.usable, linesOf(config).join("\n"));
    return config.apps[0]!.access;
  };
  assert.equal(rules(""), null);
  const nothing = { allow: [], deny: [], rate: null, connectionsPerAddress: null };
  assert.deepEqual(rules('allow = ["10.0.0.0/8"]'), { ...nothing, allow: ["10.0.0.0/8"] });
  assert.deepEqual(rules("connections_per_address = 7"), { ...nothing, connectionsPerAddress: 7 });
  for (const [text, rate] of [
    ['rate = "100/s"', { intervalMs: 10, toleranceMs: 990 }],
    ['rate = "100/s"\nburst = 1', { intervalMs: 10, toleranceMs: 0 }],
    ['rate = "20/m"\nburst = 3', { intervalMs: 3000, toleranceMs: 6000 }],
    ['rate = "2/h"', { intervalMs: 1_800_000, toleranceMs: 1_800_000 }],
  ] as const)
    assert.deepEqual(rules(text), { ...nothing, rate });
});

test("mistakes in [kittiwake.access] are named", (t) => {
  const text = 'allow = ["10.0.0.0/33", "example.com"]\nrate = "100/d"\nburst = 0';
  const files = { "kittiwake.toml": 'region = "ams"\napps = ["hello.toml"]' };
  const app = `app = "hello"\n[processes]\napp = "serve"\n[kittiwake.access]\n`;
  const expected = 'expected an IP address or a block of them such as "10.0.0.0/8"';
  assert.deepEqual(linesOf(loadFiles(t, { ...files, "hello.toml": app + text })), [
    `error hello.toml:5 kittiwake.access.allow[0]: ${expected}, got "10.0.0.0/33"`,
    `error hello.toml:5 kittiwake.access.allow[1]: ${expected}, got "example.com"`,
    'error hello.toml:6 kittiwake.access.rate: expected a rate such as "100/s", "20/m" or "1000/h", got "100/d"',
    "error hello.toml:7 kittiwake.access.burst: expected a whole number from 1 to 1000000, got 0",
  ]);
  assert.deepEqual(linesOf(loadFiles(t, { ...files, "hello.toml": `${app}burst = 5` })), [
    "error hello.toml:5 kittiwake.access.burst: there is no rate that it is for; set rate",
  ]);
});
