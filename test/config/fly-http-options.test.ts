import assert from "node:assert/strict";
import { test } from "node:test";

import { linesOf, loadApp, loadFiles } from "./files.ts";

const HEAD = 'app = "a"\n[processes]\napp = "node ."\n';

test("http_options of http_service are those of both its ports", (t) => {
  const { app, problems } = loadApp(
    t,
    `${HEAD}[http_service.http_options.response]\npristine = true\nheaders = { X-One = "1", X-Many = ["1", "2"], Server = false }\n`,
  );
  const http = {
    compress: false,
    idleTimeoutMs: 0,
    headTimeoutMs: 0,
    responseHeaders: [
      { name: "x-one", values: ["1"] },
      { name: "x-many", values: ["1", "2"] },
      { name: "server", values: [] },
    ],
    pristine: true,
  };
  assert.deepEqual(
    app.services[0]!.ports.map((port) => port.http),
    [http, http],
  );
  assert.deepEqual(problems, []);
});

test("timeouts are in seconds", (t) => {
  const { app } = loadApp(t, `${HEAD}[http_service.http_options]\nidle_timeout = 90\nheaders_read_timeout = 5\n`);
  const { idleTimeoutMs, headTimeoutMs } = app.services[0]!.ports[1]!.http!;
  assert.deepEqual([idleTimeoutMs, headTimeoutMs], [90_000, 5_000]);
});

test("http_options that ask for nothing are as if they were not there", (t) => {
  const { app } = loadApp(t, `${HEAD}[http_service.http_options.response]\npristine = false\n[[services]]\nprotocol = "tcp"\n`);
  assert.deepEqual(
    app.services[0]!.ports.map((port) => port.http),
    [null, null],
  );
});

test("each port of a service has its own http_options, and they are for the http handler", (t) => {
  const { app, problems } = loadApp(
    t,
    `${HEAD}[[services]]
protocol = "tcp"
[[services.ports]]
port = 8081
handlers = ["http"]
[services.ports.http_options.response]
pristine = true
[[services.ports]]
port = 8082
handlers = ["http"]
[[services.ports]]
port = 8083
handlers = ["tls"]
[services.ports.http_options.response]
pristine = true
`,
  );
  assert.deepEqual(
    app.services[0]!.ports.map((port) => port.http?.pristine ?? null),
    [true, null, true],
  );
  assert.ok(
    problems.includes('warning apps/a.toml:17 services[0].ports[2].http_options: no effect without the "http" handler'),
    `${problems}`,
  );
});

test("headers that frame a message, come twice, or could carry more than themselves are refused", (t) => {
  const config = loadFiles(t, {
    "kittiwake.toml": 'region = "ams"',
    "apps/a.toml": `${HEAD}[http_service.http_options.response.headers]
Content-Length = "0"
transfer-encoding = false
X-Twice = "1"
x-twice = "2"
X-Split = "a\\r\\nX-Injected: yes"
X-Wide = ["\u0101"]
"X Space" = "1"
X-True = true
`,
  });
  const place = "apps/a.toml";
  const key = "http_service.http_options.response.headers";
  assert.deepEqual(linesOf(config), [
    `error ${place}:5 ${key}.Content-Length: this header is the edge's own business; remove it`,
    `error ${place}:6 ${key}.transfer-encoding: this header is the edge's own business; remove it`,
    `error ${place}:8 ${key}.x-twice: the same header as X-Twice; keep one of them`,
    `error ${place}:9 ${key}.X-Split: expected false, a header value or a list of header values, got "a\\r\\nX-Injected: yes"`,
    `error ${place}:10 ${key}.X-Wide[0]: expected a header value, got "ā"`,
    `error ${place}:11 ${key}."X Space": expected a header name as the key`,
    `error ${place}:12 ${key}.X-True: expected false, a header value or a list of header values, got true`,
  ]);
});

const RULE = (prefix: string, more = ""): string =>
  `[[http_service.http_options.replay_cache]]\npath_prefix = "${prefix}"\nttl_seconds = 60\ntype = "cookie"\nname = "sid"\n${more}\n`;

test("reference 4.6 replay_cache: the longest path first, and of two alike that of a host", (t) => {
  const { app, problems } = loadApp(
    t,
    `${HEAD}${["/", "/a/*", "Hello.example.com/", "/a/b/", "hello.example.com/a"].map((prefix) => RULE(prefix)).join("")}`,
  );
  assert.deepEqual(problems, []);
  for (const { sessions } of app.services[0]!.ports) {
    assert.deepEqual(
      sessions!.map(({ scope: { host, path } }) => `${host ?? ""}${path}/`),
      ["/a/b/", "hello.example.com/a/", "/a/", "hello.example.com/", "/"],
    );
  }
});

test("reference 4.6 replay_cache: names of headers in lower case, those of cookies as they are", (t) => {
  const { app } = loadApp(
    t,
    `${HEAD}${RULE("/a").replace('"sid"', '"SID"')}${RULE("/b", "allow_bypass = true").replace('"sid"', '"X-Session"').replace("cookie", "header")}`,
  );
  assert.deepEqual(app.services[0]!.ports[0]!.sessions, [
    { scope: { host: null, path: "/a" }, ttlMs: 60_000, type: "cookie", name: "SID", allowBypass: false },
    { scope: { host: null, path: "/b" }, ttlMs: 60_000, type: "header", name: "x-session", allowBypass: true },
  ]);
});

test("reference 4.6 replay_cache: two rules for the same paths are one, and it is said which", (t) => {
  const { app, problems } = loadApp(t, `${HEAD}${RULE("/a")}${RULE("/b")}${RULE("/a/*")}`);
  assert.equal(app.services[0]!.ports[0]!.sessions!.length, 2);
  assert.deepEqual(problems, [
    "warning apps/a.toml:17 http_service.http_options.replay_cache[2].path_prefix: no effect: replay_cache[0] is for the same paths",
  ]);
});

for (const [line, wrong] of [
  ['path_prefix = "/"', 'path_prefix = "app"'],
  ['path_prefix = "/"', 'path_prefix = "https://hello.example.com/"'],
  ['path_prefix = "/"', 'path_prefix = "hello.example.com:443/"'],
  ['path_prefix = "/"', 'path_prefix = "/a/../b"'],
  ["ttl_seconds = 60", "ttl_seconds = 9"],
  ['type = "cookie"', 'type = "query"'],
  ['name = "sid"', 'name = "s id"'],
  ['name = "sid"', 'name = ""'],
] as const) {
  test(`reference 4.6 replay_cache: ${wrong} is refused`, (t) => {
    const text = `${HEAD}${RULE("/").replace(line, wrong)}`;
    const [problem, ...more] = linesOf(loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": text }));
    const [key] = wrong.split(" ");
    assert.match(problem!, new RegExp(`^error apps/a.toml:\\d+ http_service.http_options.replay_cache\\[0\\].${key}: expected .*, got `));
    assert.deepEqual(more, []);
  });
}

test("reference 4.6 replay_cache on a port without the http handler is told to have no effect", (t) => {
  const rule = RULE("/").replace("[[http_service.http_options.", "[[services.ports.http_options.");
  const { problems } = loadApp(t, `${HEAD}[[services]]\nprotocol = "tcp"\n[[services.ports]]\nport = 9000\n${rule}`);
  assert.match(problems.join(), /^warning .*no effect without the "http" handler$/);
});
