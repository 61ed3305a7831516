// PROXY headers: from proxies in front, and from nobody else; and towards machines that ask for one, byte for byte.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import type { Ends } from "../../src/core/ends.ts";
import { writeProxyHeader } from "../../src/http/proxy-header.ts";
import { staticApp } from "../support/backend.ts";
import { get, HOST, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp, startNamed } from "../support/raw-apps.ts";
import { ScriptedBackend } from "../support/scripted-backend.ts";

const CLIENT: Ends = { sourceIp: "203.0.113.9", sourcePort: 4711, destinationIp: "198.51.100.1", destinationPort: 443 };
const CLIENT_V6: Ends = { sourceIp: "2001:db8::9", sourcePort: 4711, destinationIp: "2001:db8::1", destinationPort: 443 };

const named = await startNamed("m");
const web = await ScriptedBackend.start();
const app = (name: string, port: string): string => rawApp(name, { machines: [named.port], port });
const apps = {
  hello: staticApp("hello", web.port),
  raw: app("raw", "port = 6000"),
  v1: app("v1", 'port = 6001\nhandlers = ["proxy_proto"]'),
  v2: app("v2", 'port = 6002\nhandlers = ["proxy_proto"]\nproxy_proto_options = { version = "v2" }'),
  tls: app("tls", 'port = 6003\nhandlers = ["proxy_proto", "tls"]'),
};
const options = { apps, ports: [6000, 6001, 6002, 6003], workers: 2, tables: '[timeouts]\ntls_handshake = "60s"' };
/** This computer is a proxy in front of one node, and a client like any other of the other one. */
const node = await startTestNode(options);
const behind = await startTestNode({ ...options, edge: 'proxy_protocol_from = ["192.0.2.0/24", "127.0.0.0/8"]' });
for (const one of [node, behind]) {
  for (const name of Object.keys(apps)) {
    await eventually(() => one.node.control.machines(name).every(({ state }) => state === "started"), `the machine of ${name}`);
  }
}
after(async () => {
  for (const part of [named, web, node, behind]) await part[Symbol.asyncDispose]();
});

describe("to a machine", () => {
  test("the header comes first, in the version that the port asks for", async () => {
    for (const [port, version] of [
      [6001, "v1"],
      [6002, "v2"],
    ] as const) {
      using client = await RawClient.connect(node.boundPort(port));
      const ends = { sourceIp: "127.0.0.1", sourcePort: client.socket.localPort!, destinationIp: "127.0.0.1", destinationPort: port };
      const header = writeProxyHeader(version, ends).toString("latin1");
      assert.equal(await client.send("hi").end().untilEnd(), `m: ${header}hi`);
    }
  });

  test("it goes in front of what was in TLS, and to a machine that hears nothing else", async () => {
    const socket = connectTls({
      port: node.boundPort(6003),
      host: "127.0.0.1",
      ca: rootOf(node),
      servername: "tls.localhost",
      allowHalfOpen: true,
    } as ConnectionOptions);
    await once(socket, "secureConnect");
    const { localPort } = socket;
    using client = RawClient.of(socket);
    assert.equal(await client.end().untilEnd(), `m: PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} 6003\r\n`);
  });

  test("it names the client that a proxy in front named", async () => {
    for (const ends of [CLIENT, CLIENT_V6]) {
      using client = await RawClient.connect(behind.boundPort(6001));
      client.send(Buffer.concat([writeProxyHeader("v2", ends), Buffer.from("hi")])).end();
      assert.equal(await client.untilEnd(), `m: ${writeProxyHeader("v1", ends).toString()}hi`);
    }
  });
});

describe("from a proxy in front", () => {
  test("the header is required, and taken off, on ports of every kind", async () => {
    for (const version of ["v1", "v2"] as const) {
      const header = writeProxyHeader(version, CLIENT);
      using raw = await RawClient.connect(behind.boundPort(6000));
      assert.equal(
        await raw
          .send(Buffer.concat([header, Buffer.from("hi")]))
          .end()
          .untilEnd(),
        "m: hi",
      );

      await web.answers(() => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      using http = await RawClient.connect(behind.httpPort);
      http.send(header).send(get());
      assert.equal((await http.response()).body, "ok");
      http.send(get());
      assert.equal((await http.response()).body, "ok");

      for (const [port, servername] of [
        [443, HOST],
        [6003, "tls.localhost"],
      ] as const) {
        const transport = connect({ port: behind.boundPort(port), host: "127.0.0.1", allowHalfOpen: true });
        transport.write(header);
        const socket = connectTls({ socket: transport, ca: rootOf(behind), servername, allowHalfOpen: true } as ConnectionOptions);
        await once(socket, "secureConnect");
        using client = RawClient.of(socket);
        if (port === 443) {
          client.send(get());
          assert.equal((await client.response()).body, "ok");
        } else assert.equal(await client.send("hi").end().untilEnd(), "m: PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\nhi");
      }
    }
  });

  test("the client that it names is the client: for the machine and in the access log", async () => {
    await web.answers(() => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    using client = await RawClient.connect(behind.httpPort);
    client.send(writeProxyHeader("v2", CLIENT)).send(get("/who", ["x-forwarded-for: 192.0.2.77"]));
    await client.response();
    const request = await web.request();
    assert.equal(request.header("fly-client-ip"), "203.0.113.9");
    assert.equal(request.header("x-forwarded-for"), "192.0.2.77, 203.0.113.9, 198.51.100.1");
    assert.equal(request.header("fly-forwarded-port"), "80");
    const lines = (): string[] => readFileSync(join(behind.dir, "node.log"), "utf8").split("\n");
    const isMeant = (line: string): boolean => line.includes('"path":"/who"') && line.includes('"client":"203.0.113.9"');
    await eventually(() => lines().some(isMeant), "the line in the access log");
  });

  test("a connection of its own keeps its own address", async () => {
    for (const header of [Buffer.from("PROXY UNKNOWN\r\n"), Buffer.from("0d0a0d0a000d0a515549540a20000000", "hex")]) {
      await web.answers(() => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      using client = await RawClient.connect(behind.httpPort);
      client.send(header).send(get());
      await client.response();
      assert.equal((await web.request()).header("fly-client-ip"), "127.0.0.1");
    }
  });

  test("it may come a byte at a time", async () => {
    using client = await RawClient.connect(behind.boundPort(6000));
    for (const byte of Buffer.concat([writeProxyHeader("v1", CLIENT), Buffer.from("hi")])) {
      client.send(Buffer.from([byte]));
      await turn();
    }
    assert.equal(await client.end().untilEnd(), "m: hi");
  });

  test("without it, or with a malformed one, the connection is closed", async () => {
    await web.answers(() => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    for (const port of [80, 443, 6000]) {
      for (const bytes of [get(), "PROXY TCP4 203.0.113.9 198.51.100.1 4711\r\n", "\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c"]) {
        using client = await RawClient.connect(behind.boundPort(port));
        assert.equal(await client.send(bytes).untilEnd(), "");
      }
    }
    assert.equal(web.requests.length, 0);
    const { text } = await behind.node.control.metrics();
    assert.match(text, /code="bad_proxy_header"\} 9\b/);
  });

  test("a header that does not end takes no longer than a handshake may, whatever trickles in", async () => {
    using client = await RawClient.connect(behind.httpPort);
    for (const part of ["PROXY", " TCP4", " "]) {
      client.send(part);
      await behind.passTime(10_000);
    }
    await behind.endsAfter(30_000, client.untilEnd());
  });
});

test("from anybody else a header is data, and no request", async () => {
  using raw = await RawClient.connect(node.boundPort(6000));
  const header = writeProxyHeader("v1", CLIENT).toString();
  assert.equal(await raw.send(header).end().untilEnd(), `m: ${header}`);
  using http = await RawClient.connect(node.httpPort);
  http.send(header).send(get());
  assert.equal((await http.response()).status, 400);
});
