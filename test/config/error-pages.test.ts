import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { loadConfig } from "../../src/config/load.ts";
import { HOST, linesOf, loadFiles, writeFiles } from "./files.ts";

const NODE = { "kittiwake.toml": 'region = "ams"' };
const APP = 'app = "a"\n[processes]\napp = "node ."\n[kittiwake.error_pages]\n';

test("pages are read relative to the app's file, which lists them as files of the configuration", (t) => {
  const files = { ...NODE, "apps/a.toml": `${APP}503 = "errors/503.html"\n4xx = "../4xx.html"\n` };
  const cwd = writeFiles(t, { ...files, "apps/errors/503.html": "<p>\u00e4 {{code}}", "4xx.html": "" });
  const config = loadConfig("kittiwake.toml", { cwd, ...HOST });
  assert.deepEqual(linesOf(config), []);
  assert.ok(config.usable);
  assert.deepEqual(config.apps[0]!.errorPages, { 503: "<p>\u00e4 {{code}}", "4xx": "" });
  assert.deepEqual(config.files.slice(-2).toSorted(), [join(cwd, "4xx.html"), join(cwd, "apps/errors/503.html")]);
});

test("what cannot be a page is reported with its line", (t) => {
  const config = loadFiles(t, {
    ...NODE,
    "apps/a.toml": `${APP}500 = "missing.html"\n501 = "."\n502 = "large.html"\n503 = "latin.html"\n504 = 4\n200 = "ok.html"\n6xx = "ok.html"\n`,
    "apps/large.html": "x".repeat(65_537),
    "apps/latin.html": new Uint8Array([0xe4]),
    "apps/ok.html": "ok",
  });
  const key = "kittiwake.error_pages";
  const expected = 'expected a status such as 503, "4xx", "5xx" or "default" as the key';
  assert.deepEqual(linesOf(config), [
    `error apps/a.toml:5 ${key}.500: there is no such file: "missing.html"`,
    `error apps/a.toml:6 ${key}.501: expected a file, got a directory: "."`,
    `error apps/a.toml:7 ${key}.502: expected at most 65536 bytes, got 65537: "large.html"`,
    `error apps/a.toml:8 ${key}.503: expected UTF-8 text: "latin.html"`,
    `error apps/a.toml:9 ${key}.504: expected a path, got 4`,
    `error apps/a.toml:10 ${key}.200: ${expected}`,
    `error apps/a.toml:11 ${key}.6xx: ${expected}`,
  ]);
});

test("an app has at most 16 pages", (t) => {
  const pages = Array.from({ length: 17 }, (_, i) => `${400 + i} = "ok.html"\n`).join("");
  const config = loadFiles(t, { ...NODE, "apps/a.toml": APP + pages, "apps/ok.html": "ok" });
  assert.deepEqual(linesOf(config), ["error apps/a.toml:4 kittiwake.error_pages: expected at most 16 pages, got 17"]);
});
