import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { leastAggressiveAutoStop, PLAIN_RULES } from "../../src/core/app.ts";
import type { App, Service, ServicePort } from "../../src/core/app.ts";
import { linesOf, loadApp, loadFiles } from "./files.ts";

const HEAD = 'app = "hello"\n[processes]\napp = "node server.js"\n';

test("an app with nothing but a name and a command gets every default", (t) => {
  const { app, problems } = loadApp(t, HEAD);
  assert.deepEqual(problems, []);
  const { directory, ...rest } = app;
  assert.match(directory, /apps$/);
  assert.deepEqual(rest, {
    name: "hello",
    primaryRegion: "ams",
    hostnames: ["hello.localhost"],
    services: [],
    groups: [{ name: "app", command: "node server.js", restart: { policy: "on-failure", retries: 10 } }],
    machines: [{ id: idOf("node-1/hello/app/ams/1"), name: "ams", group: "app", region: "ams", address: null }],
    driver: "process",
    env: {},
    killSignal: "SIGINT",
    killTimeoutMs: 5_000,
    regionPolicy: "any",
    balance: "closest",
    idleTimeoutMs: 300_000,
    wakeTimeoutMs: 30_000,
    minMachinesRunning: {},
    warmDetour: true,
    waitPage: false,
    wakeGuard: null,
    steering: "any",
    sticky: null,
    primary: null,
    errorPages: {},
    clientAuth: null,
    hsts: null,
    access: null,
    outliers: { consecutive: 5, fiveXx: 0, baseMs: 30_000, maxEjected: 0.5 },
    checks: [],
  } satisfies Omit<App, "directory">);
});

test("http_service is one TCP service with port 80, which alone forces HTTPS, and port 443", (t) => {
  const { app, problems } = loadApp(
    t,
    `${HEAD}[http_service]\ninternal_port = 3000\nforce_https = true\n[[http_service.checks]]\npath = "/up"`,
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(app.services, [
    {
      key: "tcp-3000",
      protocol: "tcp",
      internalPort: 3000,
      groups: ["app"],
      autoStop: "off",
      autoStart: true,
      minMachinesRunning: 0,
      concurrency: { type: "connections", softLimit: 20, hardLimit: null },
      ports: [{ ...portOf(80, ["http"]), forceHttps: true }, portOf(443, ["http", "tls"])],
      checks: [
        {
          type: "http",
          name: "servicecheck-00-http-3000",
          intervalMs: 15_000,
          timeoutMs: 2_000,
          gracePeriodMs: 1_000,
          method: "GET",
          path: "/up",
          protocol: "http",
          headers: {},
          tlsSkipVerify: false,
          tlsServerName: null,
        },
      ],
      maxBodyBytes: null,
    },
  ]);
});

test("max_body_size is a number of bytes, with a unit or without, and is for every service of the app", (t) => {
  const sizes = (value: string): (number | null)[] =>
    loadApp(
      t,
      `${HEAD}[http_service]\n[[services]]\nprotocol = "tcp"\n[[services.ports]]\nport = 81\nhandlers = ["http"]\n[kittiwake]\n${value}`,
    ).app.services.map(({ maxBodyBytes }) => maxBodyBytes);
  assert.deepEqual(sizes(""), [null, null]);
  assert.deepEqual(sizes("max_body_size = 5"), [5, 5]);
  assert.deepEqual(sizes('max_body_size = "10MB"'), [10_000_000, 10_000_000]);
  assert.deepEqual(sizes('max_body_size = "2KiB"'), [2048, 2048]);
  for (const wrong of ['"10"', '"10 MB"', '"1.5MB"', '"10mb"', '"-1B"', "-1", "1.5", "true", '""']) {
    const flyToml = `${HEAD}[http_service]\n[kittiwake]\nmax_body_size = ${wrong}`;
    const problems = linesOf(loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": flyToml }));
    assert.equal(problems.length, 1, wrong);
    assert.match(problems[0]!, /max_body_size: expected a size such as "10MB" or "512KiB", got /);
  }
});

test("http_service comes before services, keys tell services on one port apart, and checks are numbered through the app", (t) => {
  const { app } = loadApp(
    t,
    `${HEAD}
    [[services]]
    protocol = "tcp"
    ports = [{ port = 8081, handlers = ["tls", "http"] }]
    tcp_checks = [{ grace_period = 0 }]
    http_checks = [{ method = "head", headers = { X-Probe = 1 } }]
    [http_service]
    checks = [{}]`,
  );
  assert.deepEqual(
    app.services.map((service) => [service.key, service.checks.map((check) => check.name)]),
    [
      ["tcp-8080", ["servicecheck-00-http-8080"]],
      ["tcp-8080-2", ["servicecheck-01-tcp-8080", "servicecheck-02-http-8080"]],
    ],
  );
  const [tcp, http] = app.services[1]!.checks;
  assert.equal(tcp!.gracePeriodMs, 0);
  assert.ok(http?.type === "http");
  assert.deepEqual([http.method, http.headers], ["HEAD", { "X-Probe": "1" }]);
  assert.deepEqual(app.services[1]!.ports, [portOf(8081, ["http", "tls"])]);
});

test("durations of checks are kept within one second and one minute, with a warning each", (t) => {
  const { app, problems } = loadApp(t, `${HEAD}[[http_service.checks]]\ninterval = 250\ntimeout = "2m"\ngrace_period = "10ms"`);
  const { intervalMs, timeoutMs, gracePeriodMs } = app.services[0]!.checks[0]!;
  assert.deepEqual([intervalMs, timeoutMs, gracePeriodMs], [1_000, 60_000, 1_000]);
  assert.deepEqual(problems, [
    "warning apps/a.toml:5 http_service.checks[0].interval: expected 1s to 60s, got 250ms; 1s is used",
    "warning apps/a.toml:6 http_service.checks[0].timeout: expected 1s to 60s, got 2m; 1m is used",
    "warning apps/a.toml:7 http_service.checks[0].grace_period: expected 1s to 60s, got 10ms; 1s is used",
  ]);
});

test("auto_stop_machines takes the three words and booleans", (t) => {
  const spellings: [string, Service["autoStop"]][] = [
    ['"off"', "off"],
    ['"stop"', "stop"],
    ['"suspend"', "suspend"],
    ["false", "off"],
    ["true", "stop"],
  ];
  for (const [written, meant] of spellings) {
    const [service] = loadApp(t, `${HEAD}[http_service]\nauto_stop_machines = ${written}`).app.services;
    assert.equal(service!.autoStop, meant);
    assert.equal(leastAggressiveAutoStop([service!]), meant);
  }
});

test("limits: the default soft limit never exceeds the hard limit, zero is unset, and more soft than hard is corrected with a warning", (t) => {
  const limits = (text: string) => loadApp(t, `${HEAD}[http_service]\nconcurrency = ${text}`);
  assert.deepEqual(limits('{ type = "requests" }').app.services[0]!.concurrency, { type: "requests", softLimit: 20, hardLimit: null });
  assert.deepEqual(limits("{ hard_limit = 5 }").app.services[0]!.concurrency, { type: "connections", softLimit: 5, hardLimit: 5 });
  assert.deepEqual(limits("{ soft_limit = 0, hard_limit = 0 }").app.services[0]!.concurrency.softLimit, 20);
  assert.deepEqual(limits('"20,25"').app.services[0]!.concurrency, { type: "requests", softLimit: 20, hardLimit: 25 });
  const wrong = limits("{ soft_limit = 30, hard_limit = 25 }");
  assert.equal(wrong.app.services[0]!.concurrency.softLimit, 25);
  assert.deepEqual(wrong.problems, [
    "warning apps/a.toml:5 http_service.concurrency.soft_limit: expected at most hard_limit (25), got 30; 25 is used",
  ]);
});

test("a service without ports only warns", (t) => {
  const { app, problems } = loadApp(t, `${HEAD}[[services]]\nprotocol = "tcp"`);
  assert.deepEqual(app.services[0]!.ports, []);
  assert.deepEqual(problems, ["warning apps/a.toml:4 services[0].ports: missing; without a port nothing reaches this service"]);
});

test("each region of a service gets one machine, a region named twice gets two, and services of a group share them", (t) => {
  const { app } = loadApp(
    t,
    `${HEAD}
    [http_service]
    regions = ["ams", "nrt", "ams"]
    [[services]]
    protocol = "tcp"
    internal_port = 9000
    ports = [{ port = 9000, handlers = ["http"] }]
    regions = ["ord", "ams"]`,
  );
  assert.deepEqual(named(app), ["ams", "nrt", "ams-2", "ord"]);
  assert.deepEqual(
    app.machines.map((machine) => machine.id),
    ["ams/1", "nrt/1", "ams/2", "ord/1"].map((end) => idOf(`node-1/hello/app/${end}`)),
  );
});

test("every process group has machines of its own, and only the default group's are named by region alone", (t) => {
  const { app, problems } = loadApp(
    t,
    `app = "hello"
    primary_region = "nrt"
    [processes]
    worker = "node worker.js"
    web = "node server.js"
    [http_service]
    processes = ["web"]
    regions = ["ams", "ord"]
    [[restart]]
    policy = "never"
    processes = ["worker"]
    [[restart]]
    policy = "always"
    retries = 3`,
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(named(app), ["ams", "ord", "worker-nrt"]);
  assert.deepEqual(app.services[0]!.groups, ["web"]);
  assert.deepEqual(app.groups, [
    { name: "web", command: "node server.js", restart: { policy: "always", retries: 3 } },
    { name: "worker", command: "node worker.js", restart: { policy: "never", retries: 10 } },
  ]);
});

test("a machine with an address makes the driver static, which needs no command", (t) => {
  const { app, problems } = loadApp(
    t,
    `app = "hello"
    [http_service]
    [[kittiwake.machines]]
    id = "m1"
    region = "nrt"
    address = "[::1]:9000"
    [[kittiwake.machines]]
    address = "backend.internal:9001"`,
  );
  assert.deepEqual(problems, []);
  assert.equal(app.driver, "static");
  assert.deepEqual(app.groups[0]!.command, "");
  assert.deepEqual(app.machines, [
    { id: "m1", name: "m1", group: "app", region: "nrt", address: { host: "::1", port: 9000 } },
    { id: idOf("node-1/hello/app/ams/1"), name: "ams", group: "app", region: "ams", address: { host: "backend.internal", port: 9001 } },
  ]);
});

test("machines without addresses are exact placement, and a given id never gives its name to another", (t) => {
  const { app } = loadApp(
    t,
    `${HEAD}[http_service]\nregions = ["ord"]\n[[kittiwake.machines]]\nid = "ams"\nregion = "nrt"\n[[kittiwake.machines]]`,
  );
  assert.equal(app.driver, "process");
  assert.deepEqual(named(app), ["ams", "ams-2"]);
});

test("host names are compared in one form, and the app's own comes first", (t) => {
  const { app } = loadApp(
    t,
    `${HEAD}[kittiwake]\nhostnames = ["Hello.Example.COM.", "bücher.example", "*.wild.example", "hello.localhost"]`,
  );
  assert.deepEqual(app.hostnames, ["hello.localhost", "hello.example.com", "xn--bcher-kva.example", "*.wild.example"]);
});

test("what is not yet in force is listed and never stands in the way", (t) => {
  const { problems } = loadApp(
    t,
    `${HEAD}
    [kittiwake]
    region_policy = "local-only"
    driver = "docker"
    [http_service.http_options]
    h2_backend = true
    [[services]]
    protocol = "udp"
    internal_port = 53
    ports = [{ port = 53 }]`,
  );
  assert.deepEqual(problems, ['pending apps/a.toml:7 kittiwake.driver: "docker" is understood, not yet in force']);
});

test("a minimum that no placement can keep is a warning", (t) => {
  const text = `${HEAD}[http_service]\nauto_stop_machines = "stop"\nmin_machines_running = 1\nregions = ["nrt"]`;
  assert.deepEqual(loadApp(t, text).problems, [
    'warning apps/a.toml:6 http_service.min_machines_running: 1 cannot be kept running: process group "app" has 0 in the primary region "ams"',
  ]);
});

test("kill_timeout counts bare numbers as seconds and ends at five minutes", (t) => {
  assert.equal(loadApp(t, `kill_timeout = 7\n${HEAD}`).app.killTimeoutMs, 7_000);
  assert.equal(loadApp(t, `kill_timeout = "1m30s"\n${HEAD}`).app.killTimeoutMs, 90_000);
  const long = loadApp(t, `kill_timeout = 301\n${HEAD}`);
  assert.equal(long.app.killTimeoutMs, 300_000);
  assert.deepEqual(long.problems, ["warning apps/a.toml:1 kill_timeout: expected at most 300s, got 5m1s; 300s is used"]);
});

test("there are at most ten statics, and a wrong one does not make the others overlap", (t) => {
  const statics = (count: number) =>
    Array.from({ length: count }, (_, n) => `[[statics]]\nguest_path = "/files"\nurl_prefix = "/static-${n}"\n`).join("");
  assert.deepEqual(loadApp(t, `${HEAD}${statics(10)}`).problems, ["pending apps/a.toml:4 statics: understood, not yet in force"]);
  assert.deepEqual(linesOf(load(t, `${HEAD}${statics(11)}`)), [
    "error apps/a.toml:4 statics: expected a list of at most 10, got a list of 11",
  ]);
  assert.deepEqual(linesOf(load(t, `${HEAD}[[statics]]\nguest_path = "/files"\n${statics(2)}`)).slice(0, 1), [
    "error apps/a.toml:4 statics[0].url_prefix: missing; expected a string",
  ]);
});

test("a key without [kittiwake] that only Fly could know is a warning, one under it is an error", (t) => {
  assert.deepEqual(loadApp(t, `${HEAD}[nonsense]\nx = 1`).problems, ["warning apps/a.toml:4 nonsense: unknown key"]);
  const lines = linesOf(load(t, `${HEAD}[kittiwake]\nnonsense = 1`)).map((line) => line.split(";", 1)[0]);
  assert.deepEqual(lines, ["error apps/a.toml:5 kittiwake.nonsense: unknown key"]);
});

function load(t: TestContext, flyToml: string) {
  return loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": flyToml });
}

function named(app: App): string[] {
  return app.machines.map((machine) => machine.name);
}

function idOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 14);
}

/** A port of which nothing more is said. */
function portOf(port: number, handlers: ServicePort["handlers"]): ServicePort {
  return { start: port, end: port, handlers, forceHttps: false, http: null, h2Backend: false, sessions: null, rules: PLAIN_RULES };
}
