import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { findConfig, loadConfig } from "../../src/config/load.ts";
import { HOST, linesOf, loadFiles, writeFiles } from "./files.ts";

const APP = '\n[processes]\napp = "node server.js"\n';

test("apps come in the order of the patterns and of their names, each once", (t) => {
  const config = loadFiles(t, {
    "kittiwake.toml": 'region = "ams"\napps = ["apps/z.toml", "apps/*.toml", "*.toml"]',
    "apps/a.toml": `app = "a"${APP}`,
    "apps/b.toml": `app = "b"${APP}`,
    "apps/z.toml": `app = "z"${APP}`,
    "other.toml": `app = "other"${APP}`,
  });
  assert.ok(config.usable);
  assert.deepEqual(
    config.apps.map((app) => app.name),
    ["z", "a", "b", "other"],
  );
  assert.deepEqual(
    config.files.map((file) => file.slice(config.node.file.lastIndexOf("/") + 1)),
    ["kittiwake.toml", "apps/z.toml", "apps/a.toml", "apps/b.toml", "other.toml"],
  );
});

test("problems of all files are reported at once, those of the node first", (t) => {
  const config = loadFiles(t, {
    "kittiwake.toml": "wokers = 2",
    "apps/a.toml": "app = 1",
    "apps/b.toml": "app = [",
  });
  assert.deepEqual(linesOf(config), [
    'error kittiwake.toml:1 region: missing; expected a region code such as "ams"',
    "error kittiwake.toml:1 wokers: unknown key; did you mean workers?",
    "error apps/a.toml:1 app: expected a name of at most 63 lower-case letters, digits and inner dashes, got 1",
    'error apps/a.toml:1 processes.app: missing; driver "process" needs the command line that starts this group',
    "error apps/b.toml:1: expected valid TOML: unfinished array, in column 7",
  ]);
});

test("files that cannot be read as text say why", (t) => {
  const directory = writeFiles(t, {
    "latin1.toml": Uint8Array.of(0x61, 0x20, 0x3d, 0x20, 0x22, 0xe9, 0x22),
    "huge.toml": `# ${"x".repeat(1_000_000)}\n`,
    "deep.toml": `a${".a".repeat(300_000)} = 1\n`,
    "nested.toml": `a = ${"[".repeat(900)}${"]".repeat(900)}\n`,
    "empty.toml": "",
    "number.toml": "region = 99999999999999999999",
  });
  mkdirSync(join(directory, "directory.toml"));
  execFileSync("mkfifo", [join(directory, "pipe.toml")]);
  const expected: [string, string][] = [
    ["latin1.toml", "error latin1.toml: expected UTF-8 text"],
    ["huge.toml", "error huge.toml: expected at most 1000000 bytes, got 1000003; is this a configuration file?"],
    ["deep.toml", "error deep.toml: expected tables and lists at most 64 levels deep"],
    ["nested.toml", "error nested.toml: expected tables and lists at most 64 levels deep"],
    ["directory.toml", "error directory.toml: expected a file, got a directory"],
    ["pipe.toml", "error pipe.toml: expected a file, got a device or pipe"],
    ["none.toml", "error none.toml: there is no such file"],
    ["empty.toml/none.toml", "error empty.toml/none.toml: there is no such file"],
    ["number.toml", "error number.toml:1: expected valid TOML: integer value cannot be represented losslessly, in column 10"],
  ];
  for (const [file, line] of expected) assert.deepEqual(linesOf(loadConfig(file, { cwd: directory, ...HOST })), [line]);
});

test("files are named relative to the working directory, or absolutely when they are elsewhere", (t) => {
  const directory = writeFiles(t, { "etc/kittiwake.toml": "region = 1\napps = []" });
  const nameFrom = (cwd: string) => loadConfig(join(directory, "etc/kittiwake.toml"), { cwd, ...HOST }).problems[0]?.file;
  assert.equal(nameFrom(directory), "etc/kittiwake.toml");
  assert.equal(nameFrom(join(directory, "etc")), "kittiwake.toml");
  assert.equal(nameFrom("/somewhere/else"), join(directory, "etc/kittiwake.toml"));
});

test("the region file's codes count, and its problems are reported with the rest", (t) => {
  const node = 'region = "home"\napps = ["a.toml"]\n[regions]\ntable = "regions.toml"';
  const home = '[[region]]\ncode = "home"\nname = "Attic"\ncountry = "DE"\nlatitude = 52.4\nlongitude = 13.1\n';
  const app = `app = "a"${APP}[http_service]\nregions = ["home", "ams"]`;
  const good = loadFiles(t, { "kittiwake.toml": node, "regions.toml": home, "a.toml": app });
  assert.ok(good.usable);
  assert.deepEqual(good.problems, []);
  assert.deepEqual(
    good.regions.regions.map((region) => region.code),
    ["home"],
  );
  assert.ok(good.files.includes(good.node.regionTable!));

  const bad = loadFiles(t, { "kittiwake.toml": node, "regions.toml": home.replace("52.4", "152"), "a.toml": app });
  assert.equal(bad.usable, false);
  assert.match(linesOf(bad)[0]!, /^error regions\.toml:5 region\[0\]\.latitude: expected a number from -90 to 90, got 152$/);
});

test("keys that objects have anyway are unknown keys like any other, and change no object", (t) => {
  const config = loadFiles(t, {
    "kittiwake.toml": 'region = "ams"\nconstructor = 1\n[__proto__]\npolluted = true\n[edge.ports]\n80 = 8080\n',
    "apps/a.toml": `app = "a"\ntoString = 1\n[env]\n__proto__ = "x"\nconstructor = "y"\n[processes]\napp = "x"\n__proto__ = "z"\n[__proto__.more]\nx = 1\n
      [http_service]
      processes = ["constructor"]
      [[http_service.checks]]
      headers = { __proto__ = "h", valueOf = "v" }
      [checks.__proto__]
      type = "tcp"
      port = 1`,
  });
  assert.deepEqual(linesOf(config), [
    "error kittiwake.toml:2 constructor: unknown key",
    "error kittiwake.toml:3 __proto__: unknown key",
    "warning apps/a.toml:2 toString: unknown key",
    "error apps/a.toml:4 env.__proto__: this name cannot be used",
    "error apps/a.toml:8 processes.__proto__: this name cannot be used",
    "warning apps/a.toml:9 __proto__: unknown key",
    'error apps/a.toml:13 http_service.processes[0]: expected a process group (app), got "constructor"',
    "error apps/a.toml:15 http_service.checks[0].headers.__proto__: this name cannot be used",
    "error apps/a.toml:16 checks.__proto__: this name cannot be used",
  ]);
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

test("the configuration is looked for in the environment, here, in config/ and in /etc", (t) => {
  const directory = writeFiles(t, { "config/kittiwake.toml": "", "both/kittiwake.toml": "", "both/config/kittiwake.toml": "" });
  assert.equal(findConfig({}, directory), join(directory, "config/kittiwake.toml"));
  assert.equal(findConfig({}, join(directory, "both")), join(directory, "both/kittiwake.toml"));
  assert.equal(findConfig({ KITTIWAKE_CONFIG: "named.toml" }, directory), join(directory, "named.toml"));
});
