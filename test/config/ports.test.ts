// Public ports: what goes together on one, within an app and between apps.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { linesOf, loadApp, loadFiles } from "./files.ts";

const HEAD = (name: string): string => `app = "${name}"\n[processes]\napp = "serve"\n`;
const PORT = (lines: string): string => `[[services]]\nprotocol = "tcp"\ninternal_port = 8080\n[[services.ports]]\n${lines}\n`;

function problemsOf(t: TestContext, first: string, second: string): string[] {
  return linesOf(loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": HEAD("a") + first, "apps/b.toml": HEAD("b") + second }));
}

test("edge_http is an old name of http", (t) => {
  const { app, problems } = loadApp(t, HEAD("a") + PORT('port = 8000\nhandlers = ["edge_http", "tls", "http"]'));
  assert.deepEqual([app.services[0]!.ports[0]!.handlers, problems], [["http", "tls"], []]);
});

test("two apps may share a port where a name tells them apart, and not where nothing does", (t) => {
  for (const handlers of ['["http"]', '["http", "tls"]']) {
    assert.deepEqual(problemsOf(t, PORT(`port = 8000\nhandlers = ${handlers}`), PORT(`port = 8000\nhandlers = ${handlers}`)), []);
  }
  assert.deepEqual(problemsOf(t, PORT("port = 8000"), PORT("start_port = 7000\nend_port = 7999")), []);
  assert.deepEqual(problemsOf(t, PORT("port = 8000"), PORT("start_port = 7990\nend_port = 8010")), [
    "error apps/b.toml:7 services[0].ports[0]: port 8000 is at apps/a.toml:7 already, and without TLS or HTTP nothing tells two apps on one port apart",
  ]);
});

test("a port speaks one thing, also within an app", (t) => {
  assert.deepEqual(problemsOf(t, PORT("port = 8000"), PORT('port = 8000\nhandlers = ["http"]')), [
    "error apps/b.toml:7 services[0].ports[0]: port 8000 is for raw TCP at apps/a.toml:7 already, and cannot be for plain HTTP as well",
  ]);
  const one = PORT('port = 80\nhandlers = ["http", "tls"]');
  assert.deepEqual(linesOf(loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": `${HEAD("a")}[http_service]\n${one}` })), [
    "error apps/a.toml:8 services[0].ports[0]: port 80 is for plain HTTP at apps/a.toml:4 already, and cannot be for TLS as well",
    "warning apps/a.toml:8 services[0].ports[0]: port 80 is at apps/a.toml:4 already, which comes first",
  ]);
});

test("a range has at most 1000 ports", (t) => {
  const { app } = loadApp(t, HEAD("a") + PORT("start_port = 9000\nend_port = 9999"));
  assert.deepEqual([app.services[0]!.ports[0]!.start, app.services[0]!.ports[0]!.end], [9000, 9999]);
  assert.deepEqual(problemsOf(t, PORT("start_port = 9000\nend_port = 10000"), PORT("start_port = 1024")), [
    "error apps/a.toml:9 services[0].ports[0].end_port: expected at most 1000 ports, got those from 9000 to 10000",
    "error apps/b.toml:8 services[0].ports[0].start_port: expected at most 1000 ports, got those from 1024 to 65535",
  ]);
});

test("a port of a range must not be where another public port is bound", (t) => {
  const files = {
    "kittiwake.toml": 'region = "ams"\n[edge]\nports = { 443 = 9443 }',
    "apps/a.toml": HEAD("a") + PORT("start_port = 9400\nend_port = 9500"),
  };
  assert.deepEqual(linesOf(loadFiles(t, files)), [
    "error apps/a.toml:7 services[0].ports[0]: public port 9443 cannot be bound as 9443: that is where public port 443 is; give it another in [edge] ports",
  ]);
});

test("idle_timeout of a port is for what is not HTTP", (t) => {
  const { app } = loadApp(t, HEAD("a") + PORT('port = 8000\nkittiwake = { idle_timeout = "10m" }'));
  assert.equal(app.services[0]!.ports[0]!.rules.idleTimeoutMs, 600_000);
  const lines = problemsOf(t, PORT('port = 8000\nhandlers = ["http"]\nkittiwake = { idle_timeout = "10m" }'), "");
  assert.deepEqual(lines, [
    'error apps/a.toml:10 services[0].ports[0].kittiwake.idle_timeout: it is for connections without "http"; use http_options.idle_timeout',
  ]);
});

test("handlers that do not go together are refused, and options without their handler have no effect", (t) => {
  const of = (lines: string, protocol = "tcp"): string[] => {
    const text = `${HEAD("a")}[[services]]\nprotocol = "${protocol}"\ninternal_port = 8000\n[[services.ports]]\nport = 8000\n${lines}\n`;
    return linesOf(loadFiles(t, { "kittiwake.toml": 'region = "ams"', "apps/a.toml": text })).map((line) =>
      line.replace(/apps.*ports\[0\]\./, ""),
    );
  };
  for (const handlers of ['["tls"]', '["pg_tls"]', '["proxy_proto"]', '["tls", "proxy_proto"]', '["pg_tls", "proxy_proto"]']) {
    assert.deepEqual(of(`handlers = ${handlers}`), []);
  }
  const postgres = 'error handlers: "pg_tls" ends TLS by itself, and goes with "proxy_proto" alone';
  assert.deepEqual(of('handlers = ["pg_tls", "tls"]'), [postgres]);
  assert.deepEqual(of('handlers = ["pg_tls", "http"]'), [postgres]);
  assert.deepEqual(of('handlers = ["http", "proxy_proto"]'), [
    'error handlers: "proxy_proto" cannot go with "http", where the machine has the client in fly-client-ip',
  ]);
  assert.deepEqual(of('handlers = ["tls"]\nkittiwake = { tls_passthrough = true }'), [
    'error kittiwake.tls_passthrough: expected no handlers but "proxy_proto", because the machine gets what the client sends',
  ]);
  assert.deepEqual(of('handlers = ["proxy_proto"]\nkittiwake = { tls_passthrough = true }'), []);
  assert.deepEqual(of('tls_options = { alpn = ["x"] }\nproxy_proto_options = { version = "v2" }'), [
    'warning tls_options: no effect without the "tls" handler',
    'warning proxy_proto_options: no effect without the "proxy_proto" handler',
  ]);
  assert.deepEqual(of("kittiwake = { udp_proxy_header = true }", "udp"), []);
  assert.deepEqual(of("kittiwake = { udp_proxy_header = true }"), [
    'error kittiwake.udp_proxy_header: expected false, because this is TCP, which has the "proxy_proto" handler',
  ]);
  assert.deepEqual(of("kittiwake = { tls_passthrough = true }", "udp"), [
    "error kittiwake.tls_passthrough: expected false, because this is UDP",
  ]);
});

test("proxies in front are addresses and blocks of them", (t) => {
  const of = (list: string): string[] =>
    linesOf(loadFiles(t, { "kittiwake.toml": `region = "ams"\napps = []\n[edge]\nproxy_protocol_from = ${list}` }));
  assert.deepEqual(of('["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]'), []);
  const expected = 'expected an IP address or a block of them such as "10.0.0.0/8"';
  assert.deepEqual(of('["10.0.0.0/33", "proxy.example"]'), [
    `error kittiwake.toml:4 edge.proxy_protocol_from[0]: ${expected}, got "10.0.0.0/33"`,
    `error kittiwake.toml:4 edge.proxy_protocol_from[1]: ${expected}, got "proxy.example"`,
  ]);
});
