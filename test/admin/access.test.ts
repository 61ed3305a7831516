// Who is let in to the admin API.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { pino } from "pino";

import { AdminServer } from "../../src/admin/server.ts";
import { RunningServer } from "./running-server.ts";
import { SampleControl } from "./sample-control.ts";

const TOKEN = "0123456789abcdef";
const PATHS = ["/healthz", "/status", "/metrics", "/v1/apps", "/nothing"];

describe("without a token, on loopback", () => {
  test("loopback names and addresses are let in, with and without a port", async () => {
    await using server = await RunningServer.start();
    for (const host of ["localhost", "LOCALHOST:4280", "127.0.0.1", "127.8.9.10:1", "[::1]:4280", "kittiwake.localhost"]) {
      assert.equal((await server.ask("/status", { headers: { host } })).status, 200, host);
    }
  });

  test("a name that only resolves to loopback is refused: it may be a web page's", async () => {
    await using server = await RunningServer.start();
    for (const host of [
      "evil.example",
      "evil.example:4280",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "10.0.0.1",
      "[::2]",
      "localhost:1:2",
      "@localhost",
    ]) {
      for (const path of PATHS) {
        const [status, body] = await server.json(path, { headers: { host } });
        assert.deepEqual([status, (body as { code: string }).code], [403, "forbidden"], `${host} ${path}`);
      }
    }
  });

  test("web pages are refused, whatever their origin, and nothing is done", async () => {
    await using server = await RunningServer.start();
    for (const origin of ["https://evil.example", "null", server.url]) {
      for (const path of ["/reload", "/v1/apps/hello/machines/ams/stop"]) {
        assert.equal((await server.ask(path, { method: "POST", headers: { origin } })).status, 403, `${origin} ${path}`);
      }
    }
    assert.deepEqual(server.control.asked, []);
  });
});

describe("with a token", () => {
  test("whoever has it is let in, from anywhere", async () => {
    await using server = await RunningServer.start({ token: TOKEN });
    for (const scheme of ["Bearer", "bearer"]) {
      const headers = { authorization: `${scheme} ${TOKEN}`, host: "node.example", origin: "https://dashboard.example" };
      assert.equal((await server.ask("/status", { headers })).status, 200);
    }
  });

  test("everyone else gets 401, and is told the scheme", async () => {
    await using server = await RunningServer.start({ token: TOKEN });
    for (const authorization of ["", "Bearer", "Bearer ", `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, TOKEN]) {
      for (const path of PATHS.slice(1)) {
        const { status, headers, text } = await server.ask(path, { headers: authorization === "" ? {} : { authorization } });
        assert.deepEqual(
          [status, JSON.parse(text).code, headers["www-authenticate"]],
          [401, "unauthorized", "Bearer"],
          `${authorization} ${path}`,
        );
      }
    }
  });

  test("health and readiness are told to everyone, and only those", async () => {
    await using server = await RunningServer.start({ token: TOKEN });
    assert.equal((await server.ask("/healthz")).status, 200);
    assert.equal((await server.ask("/readyz?x=1")).status, 200);
    for (const path of ["/healthz/", "/healthz/../status", "//healthz", "/%68ealthz"])
      assert.equal((await server.ask(path)).status, 401, path);
  });
});

test("an address beyond loopback needs a token", () => {
  const log = pino({ level: "silent" });
  const control = new SampleControl();
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "node.example"]) {
    assert.throws(() => new AdminServer({ listen: { host, port: 0 }, token: null, control, log }), { code: "config_invalid" }, host);
    assert.doesNotThrow(() => new AdminServer({ listen: { host, port: 0 }, token: TOKEN, control, log }), host);
  }
});
