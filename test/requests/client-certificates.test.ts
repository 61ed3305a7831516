// Apps that ask their clients for certificates: who gets in, what the machine hears of them, and that nobody gets past it by another name, an
// old session, or fields of their own.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectHttp2, createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { staticApp } from "../support/backend.ts";
import { ClientAuthority, type ClientCertificate } from "../support/client-certificates.ts";
import { HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { responseOf } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp, startNamed } from "../support/raw-apps.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";
import { TestAuthority } from "../support/test-authority.ts";

const clients = await ClientAuthority.create();
const strangers = await ClientAuthority.create("Strangers");
const alice = await clients.issue({
  subject: "C=NL,O=Example\\, Inc.,CN=alice",
  names: [
    { type: "dns", value: "alice.example" },
    { type: "url", value: "spiffe://example/alice" },
  ],
});
const mallory = await strangers.issue({ subject: "CN=alice" });
const revoked = await clients.issue({ subject: "CN=bob" });
const expired = await clients.issue({ subject: "CN=carol", notAfter: new Date(Date.now() - 3_600_000) });
const early = await clients.issue({ subject: "CN=dave", notBefore: new Date(Date.now() + 3_600_000) });
const server = await clients.issue({ subject: "CN=erin", isForServers: true });

const ca = clients.write("ca.pem", clients.pem);
const crl = clients.write("crl.pem", await clients.revoke([revoked]));
const strangersCa = strangers.write("ca.pem", strangers.pem);

const company = await TestAuthority.create();
const leaf = await company.leaf(["worker.example"]);
const worker = { cert: leaf.pem, key: leaf.keyPem };

const tellFields = ({ fields }: Message): string => response(JSON.stringify(fields));
const backend = await ScriptedBackend.start(tellFields);
const named = await startNamed("machine");

const multiplexed = createServer();
multiplexed.on("stream", (stream, headers) => {
  (stream as ServerHttp2Stream).respond({ ":status": 200 });
  stream.end(JSON.stringify(Object.entries(headers)));
});
multiplexed.listen(0, "127.0.0.1");
await once(multiplexed, "listening");
const multiplexedPort = (multiplexed.address() as AddressInfo).port;
const sessions = new Set<ServerHttp2Session>();
multiplexed.on("session", (session) => sessions.add(session));

function overHttp2(text: string): string {
  return text.replace("internal_port", "http_options = { h2_backend = true }\ninternal_port");
}

function app(name: string, tls: string, port = backend.port): string {
  return `${staticApp(name, port)}\n[kittiwake.tls]\n${tls}`;
}

const APPS = {
  locked: app("locked", `client_ca = "${ca}"\nclient_crl = "${crl}"`).replace("[kittiwake]", '[kittiwake]\nhostnames = ["also.example"]'),
  optional: app("optional", `client_ca = "${ca}"\nclient_auth = "optional"\nclient_crl = "${crl}"`),
  strange: app("strange", `client_ca = "${strangersCa}"`),
  forced: app("forced", `client_ca = "${ca}"`).replace("internal_port", "force_https = true\ninternal_port"),
  rooted: app("rooted", `client_ca = "${clients.write("root.pem", company.rootPem)}"`),
  branch: app("branch", `client_ca = "${clients.write("branch.pem", company.intermediatePem)}"`),
  pinned: app("pinned", `client_ca = "${clients.write("alice.pem", alice.cert)}"`),
  changing: app("changing", `client_ca = "${ca}"`),
  multiplexed: overHttp2(app("multiplexed", `client_ca = "${ca}"`, multiplexedPort)),
  "multiplexed-open": overHttp2(staticApp("multiplexed-open", multiplexedPort)),
  raw: rawApp("raw", {
    machines: [named.port],
    port: 'port = 7000\nhandlers = ["tls"]',
    more: `tls = { client_ca = "${ca}" }`,
  }),
};

const edge = await startEdge({ apps: APPS, ports: [7000] });
await edge.backend.answers(tellFields);
after(async () => {
  await edge[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  await named[Symbol.asyncDispose]();
  for (const session of sessions) session.destroy();
  multiplexed.close();
  clients[Symbol.dispose]();
  strangers[Symbol.dispose]();
});

const root = rootOf(edge.test);
type Client = Pick<ClientCertificate, "cert" | "key">;

/** Resolves when the handshake is over, as far as a client can tell. */
function open(host: string, client: Client | null, options: ConnectionOptions = {}): Promise<RawClient> {
  return RawClient.connectTls(edge.test.httpsPort, { ca: root, servername: host, ...client, ...options });
}

/** The fields of one request at the machine; null when the connection was closed without an answer. */
async function fieldsAt(
  host: string,
  client: Client | null,
  options: ConnectionOptions = {},
  lines = "",
): Promise<Map<string, string> | null> {
  const connection = await open(host, client, options).catch(() => null);
  if (connection === null) return null;
  using used = connection;
  const answer = await ask(used, host, lines).catch(() => null);
  return answer === null ? null : fieldsOf(answer.body);
}

function ask(connection: RawClient, host: string, lines = ""): Promise<Message> {
  return connection.send(`GET / HTTP/1.1\r\nhost: ${host}\r\n${lines}\r\n`).response();
}

/** Throws for a field that comes twice. */
function fieldsOf(body: string): Map<string, string> {
  const fields = JSON.parse(body) as [string, string][];
  assert.equal(new Set(fields.map(([name]) => name)).size, fields.length, body);
  return new Map(fields);
}

function identityIn(fields: ReadonlyMap<string, string>): [string, string][] {
  return [...fields].filter(([name]) => name.includes("client-cert"));
}

/** How often a code was counted. */
async function count(code: string): Promise<number> {
  const { text } = await edge.test.node.control.metrics();
  return Number(new RegExp(`kittiwake_errors_total\\{[^}]*code="${code}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0);
}

const expectedIdentity = (): [string, string][] => {
  const certificate = new X509Certificate(alice.cert);
  return [
    ["x-client-cert-verify", "SUCCESS"],
    ["x-client-cert-subject", "CN=alice,O=Example\\, Inc.,C=NL"],
    ["x-client-cert-issuer", "O=Example,CN=Clients"],
    ["x-client-cert-san", "DNS:alice.example, URI:spiffe://example/alice"],
    ["x-client-cert-serial", alice.serial],
    ["x-client-cert-not-after", certificate.validToDate.toISOString()],
    ["x-client-cert-fingerprint", certificate.fingerprint256.replaceAll(":", "").toLowerCase()],
    ["client-cert", `:${certificate.raw.toString("base64")}:`],
  ];
};

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
const SPOOFED = [
  "client-cert",
  "client-cert-chain",
  "x-client-cert",
  ...["verify", "subject", "issuer", "serial", "not-after", "fingerprint", "san"].map((what) => `x-client-cert-${what}`),
];
const spoofedLines = SPOOFED.map((name) => `${name}: SUCCESS\r\n${name.toUpperCase()}: root\r\n`).join("");

describe("where a certificate is required", () => {
  for (const version of VERSIONS) {
    test(`a good one gets in over ${version}, and the machine hears whose it is`, async () => {
      const fields = await fieldsAt("locked.localhost", alice, { maxVersion: version });
      assert.deepEqual(identityIn(fields!), expectedIdentity());
    });

    test(`none is an alert over ${version}, with a code of its own`, async () => {
      const before = await count("client_certificate_required");
      const socket = connect({
        port: edge.test.httpsPort,
        host: "127.0.0.1",
        ca: root,
        servername: "locked.localhost",
        maxVersion: version,
      });
      const [error] = (await once(socket, "error")) as [Error];
      assert.match(error.message, version === "TLSv1.2" ? /alert handshake failure/ : /alert certificate required/);
      await eventually(async () => (await count("client_certificate_required")) === before + 1, "the failure to be counted");
    });

    for (const [what, client] of Object.entries({
      "another issuer's": mallory,
      revoked,
      expired,
      "not yet valid": early,
      "a server's": server,
    })) {
      test(`one that is ${what} is of no use over ${version}, with a code of its own`, async () => {
        const before = await count("client_certificate_refused");
        assert.equal(await fieldsAt("locked.localhost", client, { maxVersion: version }), null);
        await eventually(async () => (await count("client_certificate_refused")) === before + 1, "the failure to be counted");
      });
    }
  }

  test("a certificate that pretends to be of the right issuer is of no use", async () => {
    const pretender = await ClientAuthority.create();
    try {
      assert.equal(await fieldsAt("locked.localhost", await pretender.issue()), null);
    } finally {
      pretender[Symbol.dispose]();
    }
  });

  test("one without a subject is known by its other names", async () => {
    const workload = await clients.issue({ subject: "", names: [{ type: "url", value: "spiffe://example/billing" }] });
    const fields = await fieldsAt("locked.localhost", workload);
    assert.equal(fields!.get("x-client-cert-verify"), "SUCCESS");
    assert.equal(fields!.get("x-client-cert-san"), "URI:spiffe://example/billing");
    assert.equal(fields!.has("x-client-cert-subject"), false);
  });

  test("names that are made to look like fields, or like other names, do not", async () => {
    const odd = await clients.issue({
      subject: [{ CN: ["zo\u00eb,O=root\r\nx-client-cert-verify: SUCCESS"] }],
      names: [{ type: "dns", value: "a.example, DNS:b.example" }],
    });
    const fields = await fieldsAt("locked.localhost", odd);
    assert.equal(fields!.get("x-client-cert-subject"), "CN=zo\\c3\\ab\\,O=root\\0D\\0Ax-client-cert-verify: SUCCESS");
    assert.equal(fields!.get("x-client-cert-san"), 'DNS:"a.example\\u002c DNS:b.example"');
  });

  test("a chain is followed to a root by what the client sends, or to an intermediate that is trusted itself", async () => {
    assert.equal(await fieldsAt("rooted.localhost", worker), null);
    const whole = { ...worker, cert: worker.cert + company.intermediatePem };
    assert.equal((await fieldsAt("rooted.localhost", whole))!.get("x-client-cert-verify"), "SUCCESS");
    assert.equal((await fieldsAt("branch.localhost", worker))!.get("x-client-cert-verify"), "SUCCESS");
  });

  test("a single certificate can be all that is trusted", async () => {
    assert.equal((await fieldsAt("pinned.localhost", alice))!.get("x-client-cert-verify"), "SUCCESS");
    assert.equal(await fieldsAt("pinned.localhost", await clients.issue({ subject: "CN=alice" })), null);
  });

  test("each app takes its own issuers only", async () => {
    assert.equal(await fieldsAt("strange.localhost", alice), null);
    const fields = await fieldsAt("strange.localhost", mallory);
    assert.equal(fields!.get("x-client-cert-issuer"), "O=Example,CN=Strangers");
  });

  test("a request over HTTP/2 says the same", async () => {
    const session = connectHttp2("https://locked.localhost", {
      createConnection: () =>
        connect({
          port: edge.test.httpsPort,
          host: "127.0.0.1",
          ca: root,
          servername: "locked.localhost",
          ALPNProtocols: ["h2"],
          ...alice,
        }),
    });
    session.on("error", () => {});
    const spoofed = Object.fromEntries(SPOOFED.map((name) => [name, "SUCCESS"]));
    const mine = await responseOf(session.request({ ":authority": "locked.localhost", ...spoofed }));
    assert.deepEqual(identityIn(fieldsOf(mine.body)), expectedIdentity());
    const leave = once(session, "goaway");
    const other = await responseOf(session.request({ ":authority": HOST }));
    assert.equal(other.status, 421);
    await leave;
    session.destroy();
  });

  test("a machine that speaks HTTP/2 hears the same, and nothing that a client makes up", async () => {
    assert.deepEqual(identityIn((await fieldsAt("multiplexed.localhost", alice, {}, spoofedLines))!), expectedIdentity());
    assert.deepEqual(identityIn((await fieldsAt("multiplexed-open.localhost", null, {}, spoofedLines))!), []);
  });

  test("over plain HTTP there is nothing but a refusal, or the way to HTTPS", async () => {
    const refused = await edge.exchange("GET / HTTP/1.1\r\nhost: locked.localhost\r\n\r\n");
    assert.match(refused, /^HTTP\/1\.1 403 /);
    assert.match(refused, /\r\nkittiwake-error: client_certificate_required\r\n/);
    const redirected = await edge.exchange("GET / HTTP/1.1\r\nhost: forced.localhost\r\nconnection: close\r\n\r\n");
    assert.match(redirected, /^HTTP\/1\.1 301 /);
  });

  test("it is required on ports without HTTP too", async () => {
    const port = edge.test.boundPort(7000);
    const options = { ca: root, servername: "raw.localhost", ALPNProtocols: undefined } as unknown as ConnectionOptions;
    using good = await RawClient.connectTls(port, { ...options, ...alice });
    good.send("hi").end();
    await good.untilEnd();
    assert.equal(good.received, "machine: hi");
    using bad = await RawClient.connectTls(port, { ...options, ...mallory });
    bad.send("hi").end();
    await bad.untilEnd();
    assert.equal(bad.received, "");
  });
});

describe("where a certificate is optional", () => {
  for (const version of VERSIONS) {
    test(`over ${version} the machine hears what came of it, and no more of one that is not good`, async () => {
      const options = { maxVersion: version };
      assert.deepEqual(identityIn((await fieldsAt("optional.localhost", alice, options))!), expectedIdentity());
      assert.deepEqual(identityIn((await fieldsAt("optional.localhost", null, options))!), [["x-client-cert-verify", "NONE"]]);
      for (const client of [mallory, revoked, expired, early, server]) {
        assert.deepEqual(identityIn((await fieldsAt("optional.localhost", client, options))!), [["x-client-cert-verify", "FAILED"]]);
      }
    });
  }
});

describe("fields that a client makes up", () => {
  test("reach no machine, whether its app asks for certificates or not", async () => {
    assert.deepEqual(identityIn((await fieldsAt(HOST, null, {}, spoofedLines))!), []);
    assert.deepEqual(identityIn((await fieldsAt("optional.localhost", null, {}, spoofedLines))!), [["x-client-cert-verify", "NONE"]]);
    assert.deepEqual(identityIn((await fieldsAt("locked.localhost", alice, {}, spoofedLines))!), expectedIdentity());
    using plain = await edge.connect();
    assert.deepEqual(identityIn(fieldsOf((await ask(plain, HOST, spoofedLines)).body)), []);
  });

  test("do not take the edge's own away with them", async () => {
    const fields = await fieldsAt("locked.localhost", alice, {}, "connection: x-client-cert-verify, client-cert\r\n");
    assert.deepEqual(identityIn(fields!), expectedIdentity());
  });

  test("do not come behind a body either", async () => {
    using client = await open("optional.localhost", null);
    const trailers = SPOOFED.map((name) => `${name}: SUCCESS\r\n`).join("");
    client.send(
      `POST / HTTP/1.1\r\nhost: optional.localhost\r\ntransfer-encoding: chunked\r\ntrailer: x-client-cert-verify, x-sum\r\n\r\n`,
    );
    client.send(`2\r\nhi\r\n0\r\nx-sum: 1\r\n${trailers}\r\n`);
    await client.response();
    assert.deepEqual(backend.requests.at(-1)!.trailers, ["x-sum: 1"]);
    assert.equal(backend.requests.at(-1)!.header("trailer"), "x-sum");
  });
});

describe("a connection that was made for one name", () => {
  for (const [mine, client, other] of [
    [HOST, null, "locked.localhost"],
    [HOST, null, "optional.localhost"],
    ["optional.localhost", alice, "locked.localhost"],
    ["strange.localhost", mallory, "locked.localhost"],
    ["locked.localhost", alice, "strange.localhost"],
    ["locked.localhost", alice, HOST],
  ] as const) {
    test(`${mine} carries no request for ${other}, which has other rules`, async () => {
      using connection = await open(mine, client);
      const answer = await ask(connection, other);
      assert.equal(answer.status, 421);
      assert.equal(answer.header("kittiwake-error"), "misdirected_request");
      await connection.untilEnd();
    });
  }

  test("carries those for other names of the same app that its certificate is for", async () => {
    const authority = await TestAuthority.create();
    const { pem, keyPem } = await authority.leaf(["also.example", "locked.localhost"]);
    await edge.test.node.control.certificates.import(pem + authority.intermediatePem + keyPem);
    using connection = await open("also.example", alice, { ca: authority.rootPem });
    assert.equal((await ask(connection, "locked.localhost")).status, 200);
    await edge.test.node.control.certificates.delete({ name: "also.example", source: "imported" });
  });
});

describe("a session", () => {
  interface Resumed {
    readonly isResumed: boolean;
    readonly fields: ReadonlyMap<string, string> | null;
  }

  async function sessionOf(host: string, client: Client | null, options: ConnectionOptions): Promise<Buffer> {
    const socket = connect({ port: edge.test.httpsPort, host: "127.0.0.1", ca: root, servername: host, ...client, ...options });
    socket.on("error", () => {});
    const [session] = (await once(socket, "session")) as [Buffer];
    socket.destroy();
    return session;
  }

  async function resume(host: string, session: Buffer, client: Client | null, options: ConnectionOptions): Promise<Resumed> {
    const connection = await open(host, client, { ...options, session }).catch(() => null);
    if (connection === null) return { isResumed: false, fields: null };
    using used = connection;
    const isResumed = (used.socket as TLSSocket).isSessionReused();
    const answer = await ask(used, host).catch(() => null);
    return { isResumed, fields: answer === null ? null : fieldsOf(answer.body) };
  }

  for (const maxVersion of VERSIONS) {
    const options = { maxVersion };

    test(`of ${maxVersion} resumes with the identity that it began with`, async () => {
      const session = await sessionOf("locked.localhost", alice, options);
      const { isResumed, fields } = await resume("locked.localhost", session, null, options);
      assert.equal(isResumed, true);
      assert.deepEqual(identityIn(fields!), expectedIdentity());
    });

    test(`of ${maxVersion} that began without a certificate, or a bad one, is no better when resumed`, async () => {
      for (const [client, verdict] of [
        [null, "NONE"],
        [mallory, "FAILED"],
        [revoked, "FAILED"],
      ] as const) {
        const session = await sessionOf("optional.localhost", client, options);
        const { isResumed, fields } = await resume("optional.localhost", session, null, options);
        assert.equal(isResumed, true);
        assert.deepEqual(identityIn(fields!), [["x-client-cert-verify", verdict]]);
      }
    });

    test(`of ${maxVersion} does not get past rules other than those it began with`, async () => {
      for (const [mine, client] of [
        [HOST, null],
        ["optional.localhost", null],
        ["optional.localhost", alice],
        ["strange.localhost", mallory],
      ] as const) {
        const session = await sessionOf(mine, client, options);
        const bare = await resume("locked.localhost", session, null, options);
        assert.deepEqual(bare, { isResumed: false, fields: null }, mine);
        const whole = await resume("locked.localhost", session, alice, options);
        assert.equal(whole.isResumed, false, mine);
        assert.deepEqual(identityIn(whole.fields!), expectedIdentity());
      }
      const session = await sessionOf("locked.localhost", alice, options);
      const plain = await resume(HOST, session, null, options);
      assert.equal(plain.isResumed, false);
      assert.deepEqual(identityIn(plain.fields!), []);
    });

    test(`of ${maxVersion} that was refused is refused when resumed`, async () => {
      const socket = connect({
        port: edge.test.httpsPort,
        host: "127.0.0.1",
        ca: root,
        servername: "locked.localhost",
        ...mallory,
        ...options,
      });
      socket.on("error", () => {});
      let session: Buffer | null = null;
      socket.on("session", (ticket: Buffer) => (session = ticket));
      await new Promise((resolve) => socket.once("close", resolve));
      if (session === null) return;
      assert.equal((await resume("locked.localhost", session, null, options)).fields, null);
      assert.equal((await resume("locked.localhost", session, mallory, options)).fields, null);
    });
  }
});

test("a reload brings other rules into force, also for connections and sessions from before", async () => {
  const host = "changing.localhost";
  using before = await open(host, alice);
  assert.equal((await ask(before, host)).status, 200);
  const [session] = (await once(await socketOf(host, alice), "session")) as [Buffer];

  edge.test.writeApp("changing", app("changing", `client_ca = "${strangersCa}"`));
  assert.equal((await edge.test.node.control.reload()).applied, true);
  assert.equal((await ask(before, host)).status, 421);
  assert.equal(await fieldsAt(host, alice), null);
  assert.equal(await fieldsAt(host, null, { session }), null);
  assert.equal((await fieldsAt(host, mallory))!.get("x-client-cert-verify"), "SUCCESS");

  edge.test.writeApp("changing", staticApp("changing", backend.port));
  assert.equal((await edge.test.node.control.reload()).applied, true);
  assert.deepEqual(identityIn((await fieldsAt(host, null))!), []);
  assert.deepEqual(identityIn((await fieldsAt(host, mallory))!), []);
});

async function socketOf(host: string, client: Client): Promise<TLSSocket> {
  const socket = connect({ port: edge.test.httpsPort, host: "127.0.0.1", ca: root, servername: host, ...client });
  socket.on("error", () => {});
  return socket;
}
