// Validations by certificate authorities, for challenges of an order that another node has: answered by any edge, before whatever an app asks of
// its requests, and without any of its machines.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { ask, machineOf, processApp } from "../support/apps.ts";
import { helloMessage, inRecords, protocolsExtension } from "../support/client-hello.ts";
import { HOST, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { alpnChallenge, httpChallenge, Orderer } from "../support/orderer.ts";
import { RawClient } from "../support/raw-client.ts";

const PATH = "/.well-known/acme-challenge/";
const ACME_IDENTIFIER = "06082b0601050507011f0101ff04220420";

let node: TestNode;
/** On the same store, with another app, and one that orders for itself. */
let other: TestNode;
let orderer: Orderer;
before(async () => {
  node = await startTestNode({ workers: 2, apps: { hello: processApp("hello", { service: "force_https = true" }) } });
  other = await startTestNode({
    name: "other-node",
    apps: { elsewhere: processApp("elsewhere") },
    // Nothing listens there, and none of its names is one to order for.
    tables: `[state]\npath = "${join(node.dir, "data", "state.db")}"\n[tls]\nissuer = "acme"\n[tls.acme]\ndirectory = "http://127.0.0.1:9/"`,
  });
  orderer = Orderer.beside(node);
});
after(async () => {
  await orderer[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
});

/** It has never been started. */
function assertAsleep(): void {
  assert.equal(machineOf(node, "hello").state, "created");
}

async function request(text: string, at = node): Promise<Message> {
  using client = await RawClient.connect(at.httpPort);
  return await client.send(text).response();
}

function validation(token: string, host = HOST): string {
  return `GET ${PATH}${token} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
}

describe("HTTP-01", () => {
  test("is answered at once after it was published, before HTTPS is forced, and wakes nobody", async () => {
    for (let i = 0; i < 20; i++) {
      await orderer.publish(httpChallenge(`at-once-${i}`));
      for (const at of i % 2 === 0 ? [node, other] : [other, node]) {
        const response = await request(validation(`at-once-${i}`), at);
        assert.deepEqual([response.status, response.body], [200, `at-once-${i}.thumbprint`]);
        assert.equal(response.header("content-type"), "application/octet-stream");
      }
    }
    assertAsleep();
  });

  test("is answered whatever the host, and without one", async () => {
    await orderer.publish(httpChallenge("any-host"));
    for (const text of [validation("any-host", "nobody.example"), `GET ${PATH}any-host HTTP/1.0\r\n\r\n`]) {
      assert.equal((await request(text)).body, "any-host.thumbprint");
    }
  });

  test("is answered to HEAD without the body, and a pipelined request after it gets its own answer", async () => {
    await orderer.publish(httpChallenge("head"));
    using client = await RawClient.connect(node.httpPort);
    client.send(validation("head").replace("GET", "HEAD") + validation("head"));
    const head = await client.response({ toHead: true });
    assert.deepEqual([head.status, head.header("content-length")], [200, `${"head.thumbprint".length}`]);
    assert.equal((await client.response()).body, "head.thumbprint");
  });

  test("is answered over HTTPS, in HTTP/1.1 and in HTTP/2", async () => {
    await orderer.publish(httpChallenge("secure"));
    using client = await RawClient.connectTls(node.httpsPort, { ca: rootOf(node), servername: HOST });
    assert.equal((await client.send(validation("secure")).response()).body, "secure.thumbprint");
    using http2 = await Http2Client.connect(node);
    const responses = await Promise.all(Array.from({ length: 5 }, () => http2.get(`${PATH}secure`)));
    for (const { status, headers, body } of responses) {
      assert.deepEqual([status, headers["content-type"], body], [200, "application/octet-stream", "secure.thumbprint"]);
    }
    await orderer.publish(httpChallenge("secure-2"));
    assert.equal((await http2.get(`${PATH}secure-2`)).body, "secure-2.thumbprint");
    assertAsleep();
  });

  test("is answered no more after it was withdrawn or has expired", async () => {
    const challenge = httpChallenge("over");
    await orderer.publish(challenge);
    assert.equal((await request(validation("over"))).status, 200);
    await orderer.withdraw(challenge);
    await eventually(async () => (await request(validation("over"))).status === 301, "the news");
    const endMs = Date.now() + 1000;
    await orderer.publish(httpChallenge("brief", endMs));
    const { status } = await request(validation("brief"));
    // On a busy machine its end may have come first.
    assert.ok(status === 200 || Date.now() >= endMs);
    await eventually(async () => (await request(validation("brief"))).status === 301, "its end");
  });

  test("with a token that nobody knows, or what only looks like one, goes its usual way", async () => {
    for (const target of ["unknown", "not.base64url", "a/b", "", "x".repeat(129)]) {
      const response = await request(validation(target));
      assert.deepEqual([response.status, response.header("location")], [301, `https://${HOST}${PATH}${target}`], target);
    }
    const post = await request(`POST ${PATH}unknown HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: 0\r\n\r\n`);
    assert.equal(post.status, 301);
    assert.equal((await request(validation("unknown", "nobody.example"))).status, 404);
    assertAsleep();
  });

  test("a client that leaves while its token is looked up costs nothing", async () => {
    for (let i = 0; i < 5; i++) {
      using client = await RawClient.connect(node.httpPort);
      client.send(validation(`left-${i}`)).reset();
    }
    await node.settle();
    assert.equal((await request(validation("unknown-3"))).status, 301);
  });

  test("a flood of tokens that nobody knows is sent on its way, and one that is real is answered among them", async () => {
    await orderer.publish(httpChallenge("real"));
    await eventually(async () => (await request(validation("real"))).status === 200, "the challenge");
    using flood = await RawClient.connect(node.httpPort);
    flood.send(Array.from({ length: 500 }, (_, i) => validation(`flood-${i}`)).join(""));
    assert.equal((await request(validation("real"))).body, "real.thumbprint");
    for (let i = 0; i < 500; i++) assert.equal((await flood.response()).status, 301);
  });
});

/** Resolves with the socket after the handshake; rejects when there is none. */
async function validate(name: string, options: ConnectionOptions = {}, at = node): Promise<TLSSocket> {
  const socket = connect({
    port: at.httpsPort,
    host: "127.0.0.1",
    servername: name,
    ALPNProtocols: ["acme-tls/1"],
    rejectUnauthorized: false,
    ...options,
  });
  const failed = once(socket, "close").then(() => Promise.reject(new Error("the connection was closed")));
  failed.catch(() => {});
  socket.on("error", () => {});
  await Promise.race([once(socket, "secureConnect"), failed]);
  return socket;
}

async function isAnswered(name: string, at = node): Promise<boolean> {
  try {
    (await validate(name, {}, at)).destroy();
    return true;
  } catch {
    return false;
  }
}

describe("TLS-ALPN-01", () => {
  // The first one, so that no challenge is known that would have hellos read.
  test("is answered at once after it was published by a node that orders for itself", async () => {
    for (let i = 0; i < 20; i++) {
      const challenge = alpnChallenge(`at-once-${i}.example`);
      await orderer.publish(challenge);
      const socket = await validate(challenge.name, {}, other);
      assert.equal(socket.getPeerCertificate().subjectaltname, `DNS:${challenge.name}`);
      socket.destroy();
      await orderer.withdraw(challenge);
    }
    assert.equal(await isAnswered("unknown.example", other), false);
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`is answered with the challenge's certificate over ${version}, whatever the name, and the connection is closed`, async () => {
      const name = `v${version.slice(-1)}.elsewhere.example`;
      await orderer.publish(alpnChallenge(name));
      await eventually(() => isAnswered(name), "the news");
      const socket = await validate(name, { minVersion: version, maxVersion: version });
      assert.deepEqual([socket.alpnProtocol, socket.getProtocol(), socket.isSessionReused()], ["acme-tls/1", version, false]);
      const { subjectaltname, raw } = socket.getPeerCertificate();
      assert.equal(subjectaltname, `DNS:${name}`);
      assert.ok(raw.toString("hex").includes(ACME_IDENTIFIER));
      socket.resume();
      await once(socket, "close");
    });
  }

  test("is answered by every node, each with a certificate of its own making", async () => {
    const name = "fleet.example";
    await orderer.publish(alpnChallenge(name));
    const seen = new Set<string>();
    for (const at of [node, other]) {
      await eventually(() => isAnswered(name, at), "the news");
      const socket = await validate(name, {}, at);
      const { subjectaltname, fingerprint256 } = socket.getPeerCertificate();
      assert.equal(subjectaltname, `DNS:${name}`);
      seen.add(fingerprint256);
      socket.destroy();
    }
    assert.equal(seen.size, 2);
  });

  test("is what openssl sees, while others get their own certificate at the same time", async () => {
    await orderer.publish(alpnChallenge(HOST));
    await eventually(() => isAnswered(HOST), "the news");
    const show = ["s_client", "-connect", `127.0.0.1:${node.httpsPort}`, "-servername", HOST, "-alpn"];
    const shown = promisify(execFile)("sh", ["-c", `openssl ${show.join(" ")} acme-tls/1 </dev/null`]);
    const { stdout: text } = await shown;
    assert.match(text, /ALPN protocol: acme-tls\/1/);
    const [pem] = /-----BEGIN CERTIFICATE-----[^]+-----END CERTIFICATE-----/.exec(text)!;
    const printing = promisify(execFile)("openssl", ["x509", "-noout", "-text"]);
    printing.child.stdin!.end(pem);
    const { stdout } = await printing;
    assert.match(stdout, /Subject: CN\s*=\s*ACME challenge/);
    assert.match(stdout, new RegExp(`X509v3 Subject Alternative Name:\\s+DNS:${HOST}`));
    assert.match(stdout, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical/);
    const other = await validate(HOST, { ALPNProtocols: ["h2", "acme-tls/1"], rejectUnauthorized: true, ca: rootOf(node) });
    assert.deepEqual([other.alpnProtocol, other.authorized], ["h2", true]);
    other.destroy();
    assertAsleep();
  });

  test("ends the handshake where there is no such challenge, or no longer", async () => {
    const challenge = alpnChallenge("over.example");
    await orderer.publish(challenge);
    await eventually(() => isAnswered("over.example"), "the news");
    assert.equal(await isAnswered("other.example"), false);
    assert.equal(await isAnswered(""), false);
    await orderer.withdraw(challenge);
    await eventually(async () => !(await isAnswered("over.example")), "the news");
  });

  test("a client that leaves after its first message costs nothing", async () => {
    const name = "leaving.example";
    await orderer.publish(alpnChallenge(name));
    await eventually(() => isAnswered(name), "the news");
    for (const leave of ["reset", "end"] as const) {
      using client = await RawClient.connect(node.httpsPort);
      client.send(inRecords(helloMessage({ name, extensions: [[16, protocolsExtension(["acme-tls/1"])]] })))[leave]();
      if (leave === "end") await client.untilEnd();
    }
    await node.settle();
    assert.equal(await isAnswered(name), true);
  });
});

describe("a worker that takes the place of one that died", () => {
  test("answers what was published before", async () => {
    const name = "crash.example";
    await orderer.publish(httpChallenge("crash"));
    await orderer.publish(alpnChallenge(name));
    await eventually(() => isAnswered(name), "the news");
    for (const worker of [0, 1]) {
      const replaced = node.events.filter(({ type }) => type === "worker_replaced").length;
      node.node.crashWorker(worker);
      await node.until(() => node.events.filter(({ type }) => type === "worker_replaced").length > replaced);
      await eventually(() => node.node.control.isReady(), "the replacement");
    }
    for (let i = 0; i < 8; i++) {
      assert.equal((await request(validation("crash"))).body, "crash.thumbprint");
      assert.equal(await isAnswered(name), true);
    }
  });
});

test("an app that does ACME of its own gets the validations that nobody here knows of", async () => {
  await using own = await startTestNode({ apps: { hello: processApp("hello") } });
  const { status, body } = await ask(own.httpPort, "hello", `${PATH}of-its-own`);
  assert.deepEqual([status, (JSON.parse(body) as { app: string }).app], [200, "hello"]);
  using http2 = await Http2Client.connect(own);
  const responses = await Promise.all(Array.from({ length: 5 }, (_, i) => http2.get(`${PATH}of-its-own-${i % 2}`)));
  for (const response of responses) assert.deepEqual([response.status, (JSON.parse(response.body) as { app: string }).app], [200, "hello"]);
});
