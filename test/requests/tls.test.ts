// TLS as a client meets it: versions, certificates, names, resumption, and everything that is not TLS.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect, rootCertificates, type ConnectionOptions, type TLSSocket } from "node:tls";
import { staticApp } from "../support/backend.ts";
import { get, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { exchangeRaw, RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

const edge = await startEdge({
  workers: 2,
  edit: (app) => app.replace("[kittiwake]", '[kittiwake]\nhostnames = ["other.example", "*.many.example"]'),
  tables: '[timeouts]\ntls_handshake = "60s"',
});
after(() => edge[Symbol.asyncDispose]());

const ca = rootOf(edge.test);
const HANDSHAKE_MS = 60_000;

/** Resolves when the handshake is over; rejects when it fails. */
async function handshake(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port: edge.test.httpsPort, host: "127.0.0.1", servername: HOST, ca, ...options });
  const failed = once(socket, "close").then(() => {
    throw new Error("the connection was closed");
  });
  failed.catch(() => {});
  await Promise.race([once(socket, "secureConnect"), failed]);
  return socket;
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`${version} is spoken, with a certificate that the local CA vouches for`, async () => {
    const socket = await handshake({ minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    assert.equal(socket.authorized, true);
    const certificate = socket.getPeerCertificate(true);
    assert.equal(certificate.subjectaltname, `DNS:${HOST}`);
    assert.equal(certificate.issuerCertificate.fingerprint256, certificate.issuerCertificate.issuerCertificate.fingerprint256);
    socket.destroy();
  });
}

for (const version of ["TLSv1", "TLSv1.1"] as const) {
  test(`${version} is refused`, async () => {
    const old = { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await assert.rejects(handshake(old), /alert protocol version|unsupported protocol|closed|ECONNRESET/i);
  });
}

test("a client that does not know the local CA does not trust the certificate", async () => {
  await assert.rejects(handshake({ ca: [...rootCertificates] }), /unable to verify|self.signed|local issuer/i);
});

for (const servername of [HOST, "HELLO.LocalHost", "other.example", "any.many.example"]) {
  test(`the name "${servername}" gets a certificate`, async () => {
    const socket = await handshake({ servername });
    assert.equal(socket.authorized, true);
    socket.destroy();
  });
}

for (const [title, servername] of [
  ["a name that no app declares", "nobody.localhost"],
  ["a name below a declared one", `www.${HOST}`],
  ["a name two levels below a wildcard", "one.any.many.example"],
  ["no name at all", ""],
] as const) {
  test(`${title} ends the handshake, and the connection`, async () => {
    await assert.rejects(handshake({ servername, checkServerIdentity: () => undefined }), /closed|ECONNRESET|disconnected|alert/i);
  });
}

test("ALPN offers HTTP/2 and HTTP/1.1, and a client that knows nothing of ALPN is served too", async () => {
  for (const [offered, chosen] of [
    [["http/1.1", "h2"], "h2"],
    [["http/1.1"], "http/1.1"],
  ] as const) {
    const socket = await handshake({ ALPNProtocols: [...offered] });
    assert.equal(socket.alpnProtocol, chosen);
    socket.destroy();
  }
  const none = await handshake();
  assert.equal(none.alpnProtocol, false);
  none.destroy();
});

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a second handshake resumes the session over ${version}, also on another worker`, async () => {
    const first = await handshake({ maxVersion: version });
    assert.equal(first.isSessionReused(), false);
    const session = version === "TLSv1.3" ? ((await once(first, "session")) as [Buffer])[0] : first.getSession()!;
    first.destroy();
    // The kernel spreads connections over both workers.
    for (let i = 0; i < 12; i++) {
      const again = await handshake({ maxVersion: version, session });
      assert.equal(again.isSessionReused(), true, `handshake ${i}`);
      again.destroy();
    }
    const { workers } = edge.test.node.control.status();
    assert.equal(workers.length, 2);
  });
}

test("a name below a wildcard is served by its app", async () => {
  await edge.backend.answers(() => response("well"));
  using client = await RawClient.connectTls(edge.test.httpsPort, { ca, servername: "shop.many.example" });
  assert.equal((await client.send("GET / HTTP/1.1\r\nhost: shop.many.example\r\n\r\n").response()).body, "well");
});

test("a resumed session serves requests", async () => {
  await edge.backend.answers(() => response("well"));
  const first = await handshake();
  const [session] = (await once(first, "session")) as [Buffer];
  first.destroy();
  using client = await RawClient.connectTls(edge.test.httpsPort, { ca, servername: HOST, session });
  assert.equal((client.socket as TLSSocket).isSessionReused(), true);
  assert.equal((await client.send(get()).response()).body, "well");
});

test("a session goes on after the node was started anew", async () => {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-tls-"));
  const apps = { hello: staticApp("hello", 9) };
  try {
    let session: Buffer;
    let ownCa: string;
    {
      await using test = await startTestNode({ apps, dir });
      ownCa = rootOf(test);
      const first = await handshake({ port: test.httpsPort, ca: ownCa });
      [session] = (await once(first, "session")) as [Buffer];
      first.destroy();
    }
    await using test = await startTestNode({ apps, dir });
    const again = await handshake({ port: test.httpsPort, ca: ownCa, session });
    assert.equal(again.isSessionReused(), true);
    again.destroy();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("a session of one name does not open another", async () => {
  const first = await handshake();
  const [session] = (await once(first, "session")) as [Buffer];
  first.destroy();
  await assert.rejects(handshake({ servername: "nobody.localhost", session, checkServerIdentity: () => undefined }));
  const other = await handshake({ servername: "other.example", session, checkServerIdentity: () => undefined });
  assert.equal(other.isSessionReused(), false, "it gets the certificate of the name that it asks for");
  other.destroy();
});

test("a client that does not finish its handshake in time is cut off, whatever trickles in", async () => {
  using silent = await RawClient.connect(edge.test.httpsPort);
  using trickling = await RawClient.connect(edge.test.httpsPort);
  // The beginning of a ClientHello, byte by byte.
  const hello = Buffer.from("16030102000100", "hex");
  const ended = Promise.all([silent.untilEnd(), trickling.untilEnd()]);
  for (const [i] of hello.entries()) {
    trickling.send(hello.subarray(i, i + 1));
    await edge.test.passTime(HANDSHAKE_MS / (2 * hello.length));
  }
  await edge.test.endsAfter(HANDSHAKE_MS / 2, ended);
});

test("plain HTTP on the TLS port is not answered as HTTP, and others are not affected", async () => {
  const received = await exchangeRaw(edge.test.httpsPort, get());
  assert.equal(received.includes("HTTP/1"), false);
  const garbage = await exchangeRaw(edge.test.httpsPort, Buffer.alloc(1000, 0xff));
  assert.equal(garbage.includes("HTTP/1"), false);
  (await handshake()).destroy();
});

test("garbage behind the handshake ends the connection", async () => {
  await edge.backend.answers(() => response("well"));
  const raw = connectPlain({ port: edge.test.httpsPort, host: "127.0.0.1" });
  await once(raw, "connect");
  const socket = connect({ socket: raw, servername: HOST, ca });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  socket.write(get());
  await once(socket, "data");
  const closed = once(raw, "close");
  raw.write(Buffer.from("this is no TLS record at all, and never was one"));
  await closed;
  (await handshake()).destroy();
});

test("clients that leave in the middle of a handshake leave nothing behind", async () => {
  for (let i = 0; i < 20; i++) {
    const raw = connectPlain({ port: edge.test.httpsPort, host: "127.0.0.1" });
    await once(raw, "connect");
    raw.write(Buffer.from("1603010200010001fc0303", "hex"));
    if (i % 2 === 0) raw.resetAndDestroy();
    else raw.destroy();
  }
  (await handshake()).destroy();
  await eventually(async () => {
    await edge.test.node.control.metrics();
    return edge.test.node.control.status().workers.every(({ connections }) => connections === 0);
  }, "all connections to be forgotten");
});

test("renegotiation is not possible", async () => {
  const socket = await handshake({ maxVersion: "TLSv1.2" });
  socket.on("error", () => {});
  const outcome = Promise.withResolvers<string>();
  socket.renegotiate({}, (error) => outcome.resolve(error === null ? "renegotiated" : "refused"));
  socket.once("close", () => outcome.resolve("closed"));
  assert.notEqual(await outcome.promise, "renegotiated");
  socket.destroy();
});

test("many handshakes at once all succeed", async () => {
  const all = await Promise.all(Array.from({ length: 60 }, (_, i) => handshake({ servername: i % 2 === 0 ? HOST : "other.example" })));
  for (const socket of all) {
    assert.equal(socket.authorized, true);
    socket.destroy();
  }
});
