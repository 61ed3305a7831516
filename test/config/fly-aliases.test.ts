import assert from "node:assert/strict";
import { test } from "node:test";

import { linesOf, loadApp, loadFiles } from "./files.ts";

const HEAD = 'app = "hello"\n';
const COMMAND = '[processes]\napp = "node server.js"\n';

test("every spelling of a service means the same app", (t) => {
  const canonical = `${HEAD}${COMMAND}
    [[services]]
    protocol = "tcp"
    internal_port = 3000
    concurrency = { type = "requests", soft_limit = 20, hard_limit = 25 }
    ports = [{ port = 8088, handlers = ["http"] }]
    http_checks = [{ interval = "10s", headers = { A = "1", B = "" } }]
    tcp_checks = [{ timeout = "3s" }]`;
  const old = `${HEAD}
    [[processes]]
    name = "app"
    command = "node server.js"
    [services]
    protocol = "tcp"
    internal_port = "3000"
    concurrency = "20,25"
    [services.ports]
    port = "8088"
    handlers = ["http"]
    [services.http_checks]
    interval = 10000
    timeout = ""
    headers = [{ name = "A", value = 1 }, { name = "B" }]
    [services.tcp_checks]
    timeout = 3000`;
  const { directory: _, ...expected } = loadApp(t, canonical).app;
  const { directory: __, ...actual } = loadApp(t, old).app;
  assert.deepEqual(actual, expected);
});

test("empty entries are dropped, as Fly's client does", (t) => {
  const { app } = loadApp(
    t,
    `${HEAD}services = [{}, { protocol = "tcp", internal_port = 1 }]\nprocesses = [{}, { name = "app", command = "x" }]`,
  );
  assert.deepEqual(
    app.services.map((service) => service.key),
    ["tcp-1"],
  );
});

test("environment values of any scalar type become strings, from one table or several", (t) => {
  const table = `${HEAD}${COMMAND}[env]\nA = "a"\nN = 1\nF = 1.5\nB = true\nD = 2026-01-02`;
  assert.deepEqual(loadApp(t, table).app.env, { A: "a", N: "1", F: "1.5", B: "true", D: "2026-01-02" });
  const list = `${HEAD}${COMMAND}[[env]]\nA = "a"\nB = "b"\n[[env]]\nA = "later"`;
  assert.deepEqual(loadApp(t, list).app.env, { A: "later", B: "b" });
});

test("what has moved out of [experimental] is found there", (t) => {
  const { app, problems } = loadApp(t, `${HEAD}${COMMAND}[experimental]\nkill_timeout = 9\nmetrics_port = 9091\nmetrics_path = "/m"`);
  assert.equal(app.killTimeoutMs, 9_000);
  assert.deepEqual(problems, ["pending apps/a.toml:6 experimental.metrics_port: understood, not yet in force"]);
});

test("problems name a key as it was written, whatever it is called now", (t) => {
  const config = loadFiles(t, {
    "kittiwake.toml": 'region = "ams"',
    "apps/a.toml": `${HEAD}
[[processes]]
name = "app"
command = 7

[services]
protocol = "tcp"

[services.ports]
port = "eighty"

[services.http_checks]
headers = [{ name = "A", value = ["b"] }]

[mount]
snapshot_retention = 0

[[compute]]
cpus = "two"

[[env]]
FLY_X = 1

[[checks]]
name = "deep"
interval = "1s"

[experimental]
kill_timeout = "late"
`,
  });
  assert.deepEqual(
    linesOf(config).filter((line) => line.startsWith("error")),
    [
      "error apps/a.toml:3 processes[0]: expected a command line, got 7",
      'error apps/a.toml:11 services.ports.port: expected a port from 1 to 65535, got "eighty"',
      "error apps/a.toml:14 services.http_checks.headers[0]: expected a header value, got a list of 1",
      "error apps/a.toml:17 mount.snapshot_retention: expected a whole number from 1 to 60, got 0",
      'error apps/a.toml:20 compute[0].cpus: expected a whole number of at least 1, got "two"',
      "error apps/a.toml:23 env[0].FLY_X: names that start with FLY_ are Kittiwake's own",
      'error apps/a.toml:25 checks[0].type: missing; expected "http" or "tcp"',
      "error apps/a.toml:25 checks[0].port: missing; without [http_service] there is no port to inherit",
      "error apps/a.toml:27 checks[0].interval: expected at least 2s, got 1s",
      'error apps/a.toml:30 experimental.kill_timeout: expected a duration, got "late"',
    ],
  );
});
