// Requests on a TLS connection that was made for another host: clients reuse connections for whatever the certificate covers, and are told to
// take another one for the rest (RFC 9110 sections 7.4 and 15.5.20).

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { after, before, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { responseOf } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { rawApp } from "../support/raw-apps.ts";
import { RawClient } from "../support/raw-client.ts";
import { ScriptedBackend } from "../support/scripted-backend.ts";
import { TestAuthority } from "../support/test-authority.ts";

const OPEN_PORT = 9443;
const NAMES = ["a.example.com", "b.example.com", "c.b.example.com", "other.example"];

let backend: ScriptedBackend;
let node: TestNode;
before(async () => {
  backend = await ScriptedBackend.start();
  const hostnames = `[kittiwake]\nhostnames = ${JSON.stringify(NAMES)}`;
  const apps = {
    hello: staticApp("hello", backend.port).replace("[kittiwake]", hostnames),
    open: rawApp("open", {
      machines: [backend.port],
      port: `port = ${OPEN_PORT}\nhandlers = ["tls", "http"]\ntls_options = { default_self_signed = true }`,
    }),
  };
  node = await startTestNode({ apps, ports: [OPEN_PORT] });
  const ca = await TestAuthority.create();
  // The last of these is one name with a comma in it, whatever it may look like.
  const { pem, keyPem } = await ca.leaf(["*.example.com", "x, DNS:hello.localhost, DNS:y"]);
  await node.node.control.certificates.import(pem + ca.intermediatePem + keyPem);
  for (const app of Object.keys(apps)) {
    await eventually(() => node.node.control.machines(app).every(({ state }) => state === "started"), `the machine of ${app}`);
  }
});
after(async () => {
  await node[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

function secure(servername: string, port = node.httpsPort): Promise<RawClient> {
  return RawClient.connectTls(port, { servername, rejectUnauthorized: false });
}

function asking(client: RawClient, host: string, head = ""): Promise<Message> {
  return client.send(`GET /${host} HTTP/1.1\r\nhost: ${host}\r\n${head}\r\n`).response();
}

async function http2(servername: string): Promise<ClientHttp2Session> {
  const socket = connect({
    port: node.httpsPort,
    host: "127.0.0.1",
    servername,
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  });
  await once(socket, "secureConnect");
  return connectHttp2(`https://${servername}`, { createConnection: () => socket }).on("error", () => {});
}

test("HTTP/2 reuses a connection for every host that its certificate is for, and gets 421 for others, on a connection that goes on", async () => {
  const session = await http2("a.example.com");
  for (const [authority, status] of [
    ["a.example.com", 200],
    ["b.example.com", 200],
    ["B.Example.com.:443", 200],
    // A star stands for one label.
    ["c.b.example.com", 421],
    ["other.example", 421],
    ["hello.localhost", 421],
    ["b.example.com", 200],
  ] as const) {
    const response = await responseOf(session.request({ ":authority": authority, ":path": "/x" }));
    assert.equal(response.status, status, authority);
    if (status === 421) assert.equal(response.headers["kittiwake-error"], "misdirected_request");
    else assert.equal(response.body, "GET /x");
  }
  session.destroy();
});

test("HTTP/1.1 is held to the same", async () => {
  using client = await secure("a.example.com");
  for (const [host, status] of [
    ["a.example.com", 200],
    ["A.EXAMPLE.COM:8443", 200],
    ["other.example", 421],
    ["b.example.com", 200],
    ["hello.localhost", 421],
  ] as const) {
    const response = await asking(client, host);
    assert.equal(response.status, status, host);
  }
});

test("a certificate for one name covers that one alone, however the client wrote it", async () => {
  using client = await secure("OTHER.example");
  assert.equal((await asking(client, "other.example")).status, 200);
  assert.equal((await asking(client, "a.example.com")).status, 421);
});

test("a host that no app declares is unknown on every connection", async () => {
  using client = await secure("a.example.com");
  assert.equal((await asking(client, "nobody.example.com")).header("kittiwake-error"), "unknown_host");
});

test("a request that is sent on its way with 421 reaches no machine, and its body is not read", async () => {
  const before = backend.requests.length;
  using client = await secure("a.example.com");
  client.send("POST / HTTP/1.1\r\nhost: other.example\r\ncontent-length: 1000000\r\n\r\n");
  assert.equal((await client.response()).status, 421);
  await client.untilEnd();
  assert.equal(backend.requests.length, before);
});

test("a client that resumes a session of TLS 1.2 is served, though nobody knows the name that it gave", async () => {
  const options = {
    port: node.httpsPort,
    host: "127.0.0.1",
    servername: "a.example.com",
    rejectUnauthorized: false,
    maxVersion: "TLSv1.2",
  } as const;
  const first = connect(options);
  await once(first, "secureConnect");
  using client = await RawClient.connectTls(node.httpsPort, { ...options, session: first.getSession()! });
  first.destroy();
  for (const host of ["a.example.com", "b.example.com"]) assert.equal((await asking(client, host)).status, 200);
});

test("the name that a client gave is known where its first message is read, also when it resumes a session of TLS 1.2", async () => {
  const port = node.boundPort(OPEN_PORT);
  const options = { port, host: "127.0.0.1", servername: "open.localhost", rejectUnauthorized: false, maxVersion: "TLSv1.2" } as const;
  const first = connect(options);
  await once(first, "secureConnect");
  using client = await RawClient.connectTls(port, { ...options, session: first.getSession()! });
  first.destroy();
  assert.equal((client.socket as TLSSocket).isSessionReused(), true);
  assert.equal((await asking(client, "open.localhost")).status, 200);
  assert.equal((await asking(client, "other.example")).status, 421);
});

test("a resumed session of TLS 1.3 is no way around it", async () => {
  const first = connect({ port: node.httpsPort, host: "127.0.0.1", servername: "a.example.com", rejectUnauthorized: false });
  const [session] = (await once(first, "session")) as [Buffer];
  first.destroy();
  using client = await RawClient.connectTls(node.httpsPort, { servername: "a.example.com", rejectUnauthorized: false, session });
  assert.equal((await asking(client, "b.example.com")).status, 200);
  assert.equal((await asking(client, "other.example")).status, 421);
});

test("a self-signed certificate that everyone is shown is taken for any host", async () => {
  for (const servername of ["", "stranger.example"]) {
    using client = await secure(servername, node.boundPort(OPEN_PORT));
    assert.equal((await asking(client, "open.localhost")).status, 200);
  }
  using named = await secure("open.localhost", node.boundPort(OPEN_PORT));
  assert.equal((await asking(named, "open.localhost")).status, 200);
  assert.equal((await asking(named, "other.example")).status, 421);
});

test("a connection is for the same hosts when its certificate has been replaced meanwhile", async () => {
  const session = await http2("a.example.com");
  assert.equal((await responseOf(session.request({ ":authority": "a.example.com" }))).status, 200);
  await node.node.control.certificates.delete({ name: "*.example.com", source: "imported" });
  using later = await secure("a.example.com");
  assert.equal((await asking(later, "b.example.com")).status, 421);
  assert.equal((await responseOf(session.request({ ":authority": "b.example.com" }))).status, 200);
  session.destroy();
});

test("plain HTTP asks for no certificate", async () => {
  using client = await RawClient.connect(node.httpPort);
  for (const host of NAMES) assert.equal((await asking(client, host)).status, 200);
});
