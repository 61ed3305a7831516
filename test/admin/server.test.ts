// The admin server: its life, its routes about the node itself, and how it fails.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";

import { pino } from "pino";

import { AdminServer } from "../../src/admin/server.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { RunningServer } from "./running-server.ts";
import { SampleControl } from "./sample-control.ts";

const log = pino({ level: "silent" });

describe("a node's health", () => {
  test("is told from its readiness", async () => {
    await using server = await RunningServer.start();
    assert.deepEqual(await server.json("/healthz"), [200, { status: "ok" }]);
    assert.deepEqual(await server.json("/readyz"), [200, { status: "ok" }]);
    server.control.ready = false;
    assert.deepEqual(await server.json("/healthz"), [200, { status: "ok" }]);
    assert.deepEqual(await server.json("/readyz"), [503, { status: "not ready" }]);
  });
});

describe("the node's own routes", () => {
  test("metrics are given as the registry has them", async () => {
    await using server = await RunningServer.start();
    const { status, headers, text } = await server.ask("/metrics");
    assert.deepEqual([status, headers["content-type"], text], [200, "text/plain; version=0.0.4; charset=utf-8", "up 1\n"]);
  });

  test("status is in snake_case", async () => {
    await using server = await RunningServer.start();
    const [status, body] = await server.json("/status");
    assert.equal(status, 200);
    const { started_at_ms: startedAtMs, listeners } = body as { started_at_ms: number; listeners: unknown };
    assert.equal(startedAtMs, server.control.status().startedAtMs);
    assert.deepEqual(listeners, [{ scheme: "https", public_port: 443, host: "127.0.0.1", port: 8443 }]);
  });

  test("a reload that is applied is 200, one that is not is 422, and both say what happened", async () => {
    await using server = await RunningServer.start();
    const applied = await server.json("/reload", { method: "POST" });
    assert.deepEqual(applied, [200, { applied: true, messages: ["a warning"], added: ["new"], changed: [], removed: [] }]);
    server.control.reloadResult = { applied: false, messages: ["hello.toml:3: bad"], added: [], changed: [], removed: [] };
    const refused = await server.json("/reload", { method: "POST" });
    assert.deepEqual(refused, [422, { applied: false, messages: ["hello.toml:3: bad"], added: [], changed: [], removed: [] }]);
  });

  test("explain takes a url and a region", async () => {
    await using server = await RunningServer.start();
    const [status, body] = await server.json("/explain?url=https%3A%2F%2Fhello.localhost%2F%3Fa%3Db&region=nrt");
    const { url, region, candidates } = body as { url: string; region: string; candidates: readonly object[] };
    assert.deepEqual([status, url, region], [200, "https://hello.localhost/?a=b", "nrt"]);
    assert.deepEqual(Object.keys(candidates[0]!).slice(3, 5), ["rtt_ms", "rtt_source"]);
  });

  test("issue 5 part 10: explain takes a client, and headers and what-ifs several times", async () => {
    await using server = await RunningServer.start();
    const headers = "header=fly-prefer-region:%20nrt&header=Cookie:a%3Db";
    const [status, body] = await server.json(
      `/explain?url=hello&client=2001:db8::1&${headers}&down=ams&down=hello/ord&load=hello/nrt%3D30`,
    );
    assert.equal(status, 200);
    const [, access, whatIf] = (body as { rules: readonly { verdict: string }[] }).rules;
    assert.equal(access!.verdict, "2001:db8::1 may come");
    assert.deepEqual(JSON.parse(whatIf!.verdict), {
      headers: [
        ["fly-prefer-region", "nrt"],
        ["cookie", "a=b"],
      ],
      down: ["ams", "hello/ord"],
      load: { "hello/nrt": 30 },
    });
  });

  test("explain without a url, or with two, is a bad request", async () => {
    await using server = await RunningServer.start();
    for (const path of ["/explain", "/explain?url=hello&url=hello", "/explain?url=hello&region=ams&region=nrt", ...BAD_QUESTIONS]) {
      const [status, body] = await server.json(path);
      assert.deepEqual([status, (body as { code: string }).code], [400, "bad_request"], path);
    }
  });
});

const BAD_QUESTIONS = [
  "client=nobody",
  "client=10.0.0.0/8",
  "header=nothing",
  "header=:x",
  "load=hello",
  "load=hello=many",
  "dwon=ams",
].map((text) => `/explain?url=hello&${text}`);

describe("a failure", () => {
  test("of ours has the status, the message and the code of the table", async () => {
    await using server = await RunningServer.start();
    const expected = { error: 'no app declares "other"', status: "unknown", code: "app_not_found" };
    assert.deepEqual(await server.json("/explain?url=other"), [404, expected]);
    server.control.failure = new ProxyError("wake_timeout", "too slow");
    assert.deepEqual(await server.json("/v1/apps/hello/machines"), [503, { error: "too slow", status: "unknown", code: "wake_timeout" }]);
  });

  test("that nobody foresaw is 500, tells no internals, and is logged with its stack", async () => {
    await using server = await RunningServer.start();
    server.control.failure = new TypeError("secret detail");
    const answer = await server.ask("/v1/apps/hello/machines");
    assert.deepEqual([answer.status, JSON.parse(answer.text).code], [500, "internal"]);
    assert.doesNotMatch(answer.text, /secret|TypeError|\.ts/);
    const lines = server.logged.filter((line) => line.includes("secret detail"));
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /server\.test\.ts/);
    assert.ok(lines[0]!.includes(String(answer.headers["fly-request-id"])));
  });

  test("to find a path is 404 in JSON", async () => {
    await using server = await RunningServer.start();
    for (const [method, path] of [
      ["GET", "/nothing?x=1"],
      ["DELETE", "/status"],
      ["GET", "/v1/apps/%zz"],
    ] as const) {
      const [status, body] = await server.json(path, { method });
      assert.ok(status === 404 || status === 400, `${method} ${path}: ${status}`);
      assert.equal((body as { status: string }).status, "unknown");
    }
    const [, body] = await server.json("/nothing?x=1");
    assert.equal((body as { error: string }).error, "there is no GET /nothing");
  });

  test("of a body beyond 64 KiB is 413", async () => {
    await using server = await RunningServer.start();
    const headers = { "content-type": "application/json" };
    const ask = (bytes: number) =>
      server.json("/v1/apps/hello/machines/ams/stop", { method: "POST", headers, body: JSON.stringify("x".repeat(bytes - 2)) });
    assert.deepEqual((await ask(65_537))[0], 413);
    assert.deepEqual((await ask(65_536))[0], 400);
    assert.deepEqual(server.control.asked, []);
  });

  test("of a body that is no JSON is 400, whatever type it claims", async () => {
    await using server = await RunningServer.start();
    for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded"]) {
      const [status, body] = await server.json("/v1/apps/hello/machines/ams/stop", {
        method: "POST",
        headers: { "content-type": type },
        body: "{",
      });
      assert.deepEqual([status, body], [400, { error: "the body is not JSON", status: "unknown", code: "bad_request" }], type);
    }
  });

  test("to send a request in time is 408, and one that is no HTTP is 400", async () => {
    await using server = await RunningServer.start({ requestTimeoutMs: 50 });
    assert.match(await sendRaw(server, "GET /status HTTP/1.1\r\nhost: loc"), /^HTTP\/1\.1 408 .*"code":"bad_request"\}$/s);
    assert.match(await sendRaw(server, "HELO mail\r\n\r\n"), /^HTTP\/1\.1 400 .*"status":"unknown"/s);
    assert.match(await sendRaw(server, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  });
});

test("every answer names its request, and must not be cached", async () => {
  await using server = await RunningServer.start();
  const ids = new Set<unknown>();
  for (const path of ["/healthz", "/nothing", "/v1/apps"]) {
    const { headers } = await server.ask(path);
    assert.match(String(headers["fly-request-id"]), /^[0-9A-HJKMNP-TV-Z]{26}-ams$/);
    assert.equal(headers["cache-control"], "no-store");
    ids.add(headers["fly-request-id"]);
  }
  assert.equal(ids.size, 3);
});

describe("the life of the server", () => {
  test("it has no address before it listens, and ends when it is told to", async () => {
    const server = new AdminServer({ listen: { host: "127.0.0.1", port: 0 }, token: null, control: new SampleControl(), log });
    assert.equal(server.address, null);
    const stop = new AbortController();
    const ended = server.run(stop.signal);
    const { port } = await server.listening;
    assert.deepEqual(server.address, { host: "127.0.0.1", port });
    stop.abort();
    await ended;
    await assert.rejects(once(connect(port, "127.0.0.1"), "connect"), { code: "ECONNREFUSED" });
  });

  test("an idle keep-alive connection does not hold up its end", async () => {
    const server = await RunningServer.start();
    const socket = connect(server.address.port, "127.0.0.1");
    socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await once(socket, "data");
    const closed = once(socket, "close");
    await server.stop();
    await closed;
  });

  test("a request that does not end is cut off soon after", async () => {
    const server = await RunningServer.start();
    const socket = connect(server.address.port, "127.0.0.1").on("error", () => {});
    await once(socket, "connect");
    socket.write("POST /reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nab");
    // An answer on another connection means that the server has seen what came before it.
    await server.ask("/healthz");
    await server.stop();
    assert.deepEqual(server.control.asked, []);
  });

  test("started anew it is where it was", async () => {
    const server = new AdminServer({ listen: { host: "127.0.0.1", port: 0 }, token: null, control: new SampleControl(), log });
    for (let round = 0, port = 0; round < 2; round++) {
      const stop = new AbortController();
      const ended = server.run(stop.signal);
      await server.listening;
      port ||= server.address!.port;
      assert.equal(server.address!.port, port);
      stop.abort();
      await ended;
    }
  });

  test("stopped before it began, it ends at once", async () => {
    const server = new AdminServer({ listen: { host: "127.0.0.1", port: 0 }, token: null, control: new SampleControl(), log });
    await server.run(AbortSignal.abort());
    await assert.rejects(server.listening, { code: "draining" });
  });

  test("a port in use is said in words that name the next step", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const server = new AdminServer({ listen: { host: "127.0.0.1", port }, token: null, control: new SampleControl(), log });
    const expected = { code: "config_invalid", message: /cannot listen on "127\.0\.0\.1" port \d+: another program listens there/ };
    await assert.rejects(server.run(new AbortController().signal), expected);
    await assert.rejects(server.listening, expected);
    other.close();
  });
});

/** Everything that comes back until the server closes the connection. */
async function sendRaw(server: RunningServer, text: string): Promise<string> {
  const socket = connect(server.address.port, server.address.host);
  socket.write(text);
  let answer = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
  await once(socket, "close");
  return answer;
}
