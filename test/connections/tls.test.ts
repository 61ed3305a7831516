// TLS without HTTP in it: ended at the edge, the name in the handshake telling apps apart; tls_options of each app on one port.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { staticApp, type Backend } from "../support/backend.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp, startEcho, startNamed } from "../support/raw-apps.ts";
import { ScriptedBackend } from "../support/scripted-backend.ts";

const PORT = 8883;

async function untilStarted(node: TestNode, ...apps: readonly string[]): Promise<TestNode> {
  for (const app of apps) {
    await eventually(() => node.node.control.machines(app).every(({ state }) => state === "started"), `the machines of ${app}`);
  }
  return node;
}

/** A TLS client; rejects when the handshake fails. */
async function secure(node: TestNode, port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const ca = rootOf(node);
  const socket = connectTls({ port: node.boundPort(port), host: "127.0.0.1", ca, allowHalfOpen: true, ...options } as ConnectionOptions);
  await once(socket, "secureConnect");
  return socket;
}

describe("on a port with TLS alone", async () => {
  const backends: Backend[] = [await startNamed("one"), await startNamed("two"), await startEcho()];
  const [one, two, echo] = backends as [Backend, Backend, Backend];
  const tls = `port = ${PORT}\nhandlers = ["tls"]`;
  const apps = {
    one: rawApp("one", { machines: [one.port], port: tls }),
    two: rawApp("two", { machines: [two.port], port: `${tls}\ntls_options = { alpn = ["mqtt", "x"], versions = ["TLSv1.3"] }` }),
    alone: rawApp("alone", { machines: [echo.port], port: 'port = 9000\nhandlers = ["tls"]' }),
    signed: rawApp("signed", {
      machines: [echo.port],
      port: 'port = 9001\nhandlers = ["tls"]\ntls_options = { default_self_signed = true, versions = ["TLSv1.2"] }',
    }),
  };
  const node = await untilStarted(await startTestNode({ apps, ports: [PORT, 9000, 9001], workers: 2 }), ...Object.keys(apps));
  after(async () => {
    for (const backend of backends) await backend[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
  });

  test("the name in the handshake chooses the app, whose machine gets what was in it", async () => {
    for (const app of ["one", "two", "one"]) {
      using client = RawClient.of(await secure(node, PORT, { servername: `${app}.localhost` }));
      client.send("hi").end();
      assert.equal(await client.untilEnd(), `${app}: hi`);
    }
  });

  test("a name of no app, and none at all, end the handshake", async () => {
    await assert.rejects(secure(node, PORT, { servername: "three.localhost" }));
    await assert.rejects(secure(node, PORT, { servername: "" }));
    // An app that is known, but on another port.
    await assert.rejects(secure(node, PORT, { servername: "alone.localhost" }));
  });

  test("each app has its own protocols and versions", async () => {
    const two13 = await secure(node, PORT, { servername: "two.localhost", ALPNProtocols: ["x", "mqtt"] });
    assert.deepEqual([two13.alpnProtocol, two13.getProtocol()], ["mqtt", "TLSv1.3"]);
    two13.destroy();
    await assert.rejects(secure(node, PORT, { servername: "two.localhost", maxVersion: "TLSv1.2" }));
    await assert.rejects(secure(node, PORT, { servername: "two.localhost", ALPNProtocols: ["h2"] }));
    const one12 = await secure(node, PORT, { servername: "one.localhost", maxVersion: "TLSv1.2", ALPNProtocols: ["mqtt"] });
    assert.deepEqual([one12.alpnProtocol, one12.getProtocol()], [false, "TLSv1.2"]);
    one12.destroy();
  });

  test("a client that names nobody reaches the one app of a port, with that app's certificate", async () => {
    const socket = await secure(node, 9000, { servername: "", checkServerIdentity: () => undefined });
    assert.match(socket.getPeerCertificate().subjectaltname ?? "", /alone\.localhost/);
    using client = RawClient.of(socket);
    client.send("hello").end();
    assert.equal(await client.untilEnd(), "hello");
    await assert.rejects(secure(node, 9000, { servername: "other.localhost" }));
  });

  test("a client that names somebody else gets a self-signed certificate where the app takes everyone", async () => {
    for (const servername of ["", "stranger.example"]) {
      const socket = await secure(node, 9001, { servername, rejectUnauthorized: false });
      assert.equal(socket.getPeerCertificate().subject.CN, "Kittiwake default certificate");
      assert.equal(socket.getProtocol(), "TLSv1.2");
      using client = RawClient.of(socket);
      client.send("hello").end();
      assert.equal(await client.untilEnd(), "hello");
    }
    const own = await secure(node, 9001, { servername: "signed.localhost" });
    assert.ok(own.authorized);
    own.destroy();
    await assert.rejects(secure(node, 9001, { servername: "stranger.example", rejectUnauthorized: false, minVersion: "TLSv1.3" }));
  });

  test("a session resumes, on whichever worker", async () => {
    const first = await secure(node, PORT, { servername: "two.localhost" });
    const [session] = (await once(first, "session")) as [Buffer];
    first.destroy();
    for (let i = 0; i < 4; i++) {
      const next = await secure(node, PORT, { servername: "two.localhost", session });
      assert.ok(next.isSessionReused());
      next.destroy();
    }
  });

  test("what is no TLS is closed, and counted with its code", async () => {
    using client = await RawClient.connect(node.boundPort(PORT));
    assert.equal(await client.send("GET / HTTP/1.1\r\n\r\n").untilEnd(), "");
    const { text } = await node.node.control.metrics();
    assert.match(text, /code="tls_handshake_failed"/);
  });
});

test("tls_options hold for HTTPS, for the app that has them and no other on the port", async () => {
  await using backend = await ScriptedBackend.start();
  const options = '[http_service.tls_options]\nalpn = ["http/1.1"]\nversions = ["TLSv1.3"]';
  const apps = { strict: staticApp("strict", backend.port, options), plain: staticApp("plain", backend.port) };
  await using node = await untilStarted(await startTestNode({ apps }), "strict", "plain");
  const negotiated = async (app: string, more: ConnectionOptions = {}): Promise<unknown> => {
    const socket = await secure(node, 443, { servername: `${app}.localhost`, ALPNProtocols: ["h2", "http/1.1"], ...more });
    const result = [socket.alpnProtocol, socket.getProtocol()];
    socket.destroy();
    return result;
  };
  assert.deepEqual(await negotiated("strict"), ["http/1.1", "TLSv1.3"]);
  assert.deepEqual(await negotiated("plain"), ["h2", "TLSv1.3"]);
  assert.deepEqual(await negotiated("plain", { maxVersion: "TLSv1.2" }), ["h2", "TLSv1.2"]);
  await assert.rejects(negotiated("strict", { maxVersion: "TLSv1.2" }));
  const ca = rootOf(node);
  for (const app of ["strict", "plain"]) {
    const servername = `${app}.localhost`;
    using client = await RawClient.connectTls(node.httpsPort, { ca, servername });
    client.send(`POST /x HTTP/1.1\r\nhost: ${servername}\r\ncontent-length: 100000\r\n\r\n${"b".repeat(100_000)}`);
    assert.equal((await client.response()).body, "POST /x");
  }
  assert.equal((await backend.request(0)).body.length, 100_000);
});
