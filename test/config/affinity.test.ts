import assert from "node:assert/strict";
import { test } from "node:test";

import { linesOf, loadApp, loadFiles } from "./files.ts";

const APP = 'app = "hello"\n[processes]\napp = "serve"\n';
const PLACED = `primary_region = "ams"\n${APP}`;

test("[kittiwake] sticky and [kittiwake.primary] become rules, and none where they ask for nothing", (t) => {
  const rules = (text: string) => {
    const { app, problems } = loadApp(t, text);
    assert.deepEqual(problems, []);
    return { sticky: app.sticky, primary: app.primary };
  };
  assert.deepEqual(rules(`${APP}[kittiwake]\nsticky_ttl = "1h"`), { sticky: null, primary: null });
  assert.deepEqual(rules(`${APP}[kittiwake]\nsticky = "cookie"`), { sticky: { forS: 86_400 }, primary: null });
  assert.deepEqual(rules(`${APP}[kittiwake]\nsticky = "cookie"\nsticky_ttl = "90m"`).sticky, { forS: 5400 });
  const readMethods = ["GET", "HEAD", "OPTIONS", "TRACE"];
  const primary = { region: "ams", readMethods, alwaysForward: [], passthrough: [], followS: 10, fallback: "none" };
  assert.deepEqual(rules(`${PLACED}[kittiwake.primary]`).primary, primary);
  const text = 'read_methods = ["GET"]\nalways_forward = ["/a/*"]\npassthrough = ["*.js"]\nfollow = "1500ms"\nfallback = "any"';
  assert.deepEqual(rules(`${PLACED}[kittiwake.primary]\n${text}`).primary, {
    region: "ams",
    readMethods: ["GET"],
    alwaysForward: ["/a/*"],
    passthrough: ["*.js"],
    followS: 2,
    fallback: "any",
  });
});

for (const [title, text, expected] of [
  ["no primary region", `${APP}[kittiwake.primary]`, ["error hello.toml:4 kittiwake.primary: there is no primary_region for it; set that"]],
  [
    "nothing leaves its region",
    `${PLACED}[kittiwake]\nregion_policy = "local-only"\n[kittiwake.primary]`,
    [
      'error hello.toml:7 kittiwake.primary: with region_policy "local-only" no request leaves its region, whatever it does; change one of them',
    ],
  ],
  [
    "mistakes",
    `${PLACED}[kittiwake]\nsticky = "yes"\nsticky_ttl = "1s"\n[kittiwake.primary]\nread_methods = ["get"]\nalways_forward = ["admin"]\nfollow = "2h"`,
    [
      'error hello.toml:6 kittiwake.sticky: expected "none" or "cookie", got "yes"',
      'error hello.toml:7 kittiwake.sticky_ttl: expected a duration of at least 1m, got "1s"',
      'error hello.toml:9 kittiwake.primary.read_methods[0]: expected a method such as "GET", got "get"',
      'error hello.toml:10 kittiwake.primary.always_forward[0]: expected a path such as "/admin/*" or "*.js", got "admin"',
      'error hello.toml:11 kittiwake.primary.follow: expected a duration of at most 1h, got "2h"',
    ],
  ],
] as const) {
  test(`[kittiwake.primary]: ${title}`, (t) => {
    const files = { "kittiwake.toml": 'region = "ams"\napps = ["hello.toml"]', "hello.toml": text };
    assert.deepEqual(linesOf(loadFiles(t, files)), expected);
  });
}
