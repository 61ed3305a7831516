// TLS that goes on to the machine as it is: the edge reads the name in its first message, however that is cut up, and changes no byte.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { LocalCa } from "../../src/certs/local-ca.ts";
import { createLog } from "../../src/telemetry/log.ts";
import { staticApp, type Backend } from "../support/backend.ts";
import { helloMessage, inRecords, protocolsExtension } from "../support/client-hello.ts";
import { get, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { alpnChallenge, Orderer } from "../support/orderer.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp, startEcho, startNamed } from "../support/raw-apps.ts";
import { ScriptedBackend } from "../support/scripted-backend.ts";

const PASS = "port = 443\nkittiwake = { tls_passthrough = true }";

describe("on a port with TLS that is passed through", async () => {
  const [one, echo, web]: [Backend, Backend, ScriptedBackend] = [await startNamed("one"), await startEcho(), await ScriptedBackend.start()];
  const apps = {
    one: rawApp("one", { machines: [one.port], port: PASS }),
    echo: rawApp("echo", { machines: [echo.port], port: PASS }),
    web: staticApp("web", web.port),
  };
  const node: TestNode = await startTestNode({ apps, workers: 2, tables: '[timeouts]\ntls_handshake = "60s"' });
  for (const app of Object.keys(apps)) {
    await eventually(() => node.node.control.machines(app).every(({ state }) => state === "started"), `the machines of ${app}`);
  }
  after(async () => {
    for (const backend of [one, echo, web]) await backend[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
  });

  const connect = (): Promise<RawClient> => RawClient.connect(node.httpsPort);

  test("the name leads to the machine, which gets every byte as it was sent", async () => {
    const hello = inRecords(helloMessage({ name: "ONE.localhost", padding: 300 }));
    using client = await connect();
    client.send(Buffer.concat([hello, Buffer.from("more")])).end();
    assert.equal(await client.untilEnd(), `one: ${hello.toString("latin1")}more`);
  });

  test("a validation of TLS-ALPN-01 is the machine's too, whose certificates are its own", async () => {
    await using orderer = Orderer.beside(node);
    for (const name of ["one.localhost", "elsewhere.example"]) await orderer.publish(alpnChallenge(name));
    const validation = inRecords(helloMessage({ name: "one.localhost", extensions: [[16, protocolsExtension(["acme-tls/1"])]] }));
    // The edge knows of both as soon as it answers the one that is its own.
    const options = { servername: "elsewhere.example", ALPNProtocols: ["acme-tls/1"], rejectUnauthorized: false };
    await eventually(async () => {
      using known = await RawClient.connectTls(node.httpsPort, options).catch(() => null);
      return known !== null;
    }, "the news");
    using client = await connect();
    client.send(validation).end();
    assert.equal(await client.untilEnd(), `one: ${validation.toString("latin1")}`);
  });

  test("a ClientHello may come a byte at a time", async () => {
    const hello = inRecords(helloMessage({ name: "one.localhost", padding: 200 }), 50);
    using client = await connect();
    for (const byte of hello) {
      client.send(Buffer.from([byte]));
      await turn();
    }
    client.end();
    assert.ok((await client.untilEnd()) === `one: ${hello.toString("latin1")}`);
  });

  test("a ClientHello may be far longer than a record", async () => {
    const hello = inRecords(helloMessage({ name: "one.localhost", extensions: [[65_000, randomBytes(60_000)]] }));
    assert.ok(hello.length > 60_000);
    using client = await connect();
    client.send(hello.subarray(0, 20_000));
    await turn();
    client.send(hello.subarray(20_000)).end();
    assert.ok((await client.untilEnd()) === `one: ${hello.toString("latin1")}`);
  });

  test("a large transfer after it is unchanged, both ways", async () => {
    const hello = inRecords(helloMessage({ name: "echo.localhost" }));
    const bytes = Buffer.concat([hello, randomBytes(4 * 1024 * 1024)]);
    using client = await connect();
    client.send(bytes).end();
    assert.ok(Buffer.from(await client.untilEnd(), "latin1").equals(bytes));
  });

  test("apps whose TLS ends at the edge share it", async () => {
    using client = await RawClient.connectTls(node.httpsPort, { ca: rootOf(node), servername: "web.localhost" });
    client.send(get("/shared").replace("hello.localhost", "web.localhost"));
    assert.equal((await client.response()).body, "GET /shared");
  });

  test("no name, an unknown one, and what is no TLS are closed, and reach no machine", async () => {
    for (const bytes of [
      inRecords(helloMessage({ name: null })),
      inRecords(helloMessage({ name: "other.localhost" })),
      inRecords(helloMessage({ name: "one.localhost\0" })),
      inRecords(helloMessage({ name: "127.0.0.1" })),
      Buffer.from("SSH-2.0-x\r\n"),
      Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 1, 0, 1]), Buffer.alloc(16_380)]),
    ]) {
      using client = await connect();
      assert.equal(await client.send(bytes).untilEnd(), "");
    }
  });

  test("a ClientHello that never ends takes no longer than a handshake may, whatever trickles in", async () => {
    using client = await connect();
    const hello = inRecords(helloMessage({ name: "one.localhost" }));
    for (let sent = 0; sent < 40; sent += 10) {
      client.send(hello.subarray(sent, sent + 10));
      await node.passTime(7500);
    }
    await node.endsAfter(30_000, client.untilEnd());
    using left = await connect();
    left.send(Buffer.from([22, 3])).reset();
  });
});

test("the handshake is the machine's own, with its certificate and its protocols", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-ca-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const log = createLog({ level: "silent", destination: "stderr", name: "test" });
  const ca = await LocalCa.open(dir, { log });
  const certificate = await ca.issue("inner.localhost");
  const server = createTlsServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem, ALPNProtocols: ["own"] }, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const app = rawApp("inner", { machines: [port], port: PASS });
  await using node = await startTestNode({ apps: { inner: app } });
  const socket = connectTls({
    port: node.httpsPort,
    host: "127.0.0.1",
    servername: "inner.localhost",
    ca: ca.rootPem,
    ALPNProtocols: ["own"],
  });
  await once(socket, "secureConnect");
  assert.deepEqual([socket.authorized, socket.alpnProtocol], [true, "own"]);
  socket.write("through");
  const [echoed] = (await once(socket, "data")) as [Buffer];
  assert.equal(echoed.toString(), "through");
  socket.destroy();
  await log.close();
});
