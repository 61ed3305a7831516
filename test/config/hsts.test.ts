import assert from "node:assert/strict";
import { test } from "node:test";

import type { Hsts } from "../../src/core/app.ts";
import { linesOf, loadApp, loadFiles } from "./files.ts";

const HEAD = 'app = "a"\n[processes]\napp = "node ."\n';

test("browsers are told nothing unless the app asks for it", (t) => {
  assert.equal(loadApp(t, HEAD).app.hsts, null);
  assert.equal(loadApp(t, `${HEAD}[kittiwake.hsts]\ninclude_subdomains = false`).app.hsts, null);
});

test("an age is given in seconds, or grows by itself", (t) => {
  const hstsOf = (lines: string): Hsts | null => loadApp(t, `${HEAD}[kittiwake.hsts]\n${lines}`).app.hsts;
  assert.deepEqual(hstsOf('max_age = "auto"'), { maxAgeS: null, includeSubdomains: false, preload: false });
  assert.deepEqual(hstsOf("max_age = 0"), { maxAgeS: 0, includeSubdomains: false, preload: false });
  assert.deepEqual(hstsOf("max_age = 31536000\ninclude_subdomains = true\npreload = true"), {
    maxAgeS: 31_536_000,
    includeSubdomains: true,
    preload: true,
  });
});

test("what browsers would not take, or hold against the app for long, is refused", (t) => {
  const problemsOf = (lines: string): string[] =>
    linesOf(loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": `${HEAD}[kittiwake.hsts]\n${lines}` }));
  const key = "kittiwake.hsts";
  assert.deepEqual(problemsOf('max_age = "1y"'), [
    `error apps/a.toml:5 ${key}.max_age: expected "auto" or a whole number from 0 to 315360000, got "1y"`,
  ]);
  assert.deepEqual(problemsOf("include_subdomains = true"), [
    `error apps/a.toml:4 ${key}.max_age: missing; without it browsers are told nothing. "auto" is a safe start`,
  ]);
  const preload = `${key}.preload: expected max_age of at least 31536000 and include_subdomains with it, as the list of browsers does`;
  assert.deepEqual(problemsOf('max_age = "auto"\ninclude_subdomains = true\npreload = true'), [`error apps/a.toml:7 ${preload}`]);
  assert.deepEqual(problemsOf("max_age = 31536000\npreload = true"), [`error apps/a.toml:6 ${preload}`]);
  assert.deepEqual(problemsOf("max_age = 86400\ninclude_subdomains = true\npreload = true"), [`error apps/a.toml:7 ${preload}`]);
});
