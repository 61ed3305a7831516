// A machine hands a request on to another app (reference 4.1), whose rules hold for its client all the same: who may come and how often, with
// which certificate, and how long a body. Over HTTP/1.1 and HTTP/2.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { connect as connectSocket, type AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { freePort, staticApp } from "../support/backend.ts";
import { ClientAuthority, type ClientCertificate } from "../support/client-certificates.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { responseOf } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend, type Answer } from "../support/scripted-backend.ts";

const clients = await ClientAuthority.create();
const strangers = await ClientAuthority.create("Strangers");
const alice = await clients.issue();
const mallory = await strangers.issue();
const ca = clients.write("ca.pem", clients.pem);
const crl = clients.write("crl.pem", await clients.revoke([]));
const strangersCa = strangers.write("ca.pem", strangers.pem);

/** Where a request to `/APP`, or `/APP?more=fields`, is to go. */
function orderOf(target: string): string {
  const [name, more = ""] = target.slice(1).split("?");
  return `fly-replay: app=${name};${decodeURIComponent(more)}`;
}

const replays: Answer = (request) => {
  const failed = request.header("fly-replay-failed");
  if (failed !== null) return response(JSON.stringify(request.fields), [`failed: ${failed}`]);
  return response("nobody gets this", [orderOf(request.target)]);
};
const front = await ScriptedBackend.start(replays);
const target = await ScriptedBackend.start(({ fields }) => response(JSON.stringify(fields)));
/** Sends every request back to the app `open`, and that one sends it on again, some times. */
const bouncer = await ScriptedBackend.start(({ fields }) => {
  const bounces = bouncer.requests.length;
  return bounces < 3 ? response("", ["fly-replay: app=open"]) : response(JSON.stringify(fields));
});
const multiplexed = createServer();
multiplexed.on("stream", (stream, headers) => {
  const failed = headers["fly-replay-failed"];
  const order = failed === undefined ? { "fly-replay": "app=dead;fallback=force_self" } : {};
  (stream as ServerHttp2Stream).respond({ ":status": 200, ...order });
  stream.end("multiplexed");
});
multiplexed.listen(0, "127.0.0.1");
await once(multiplexed, "listening");
const sessions = new Set<ServerHttp2Session>();
multiplexed.on("session", (session) => sessions.add(session));

const tls = (name: string, port: number, lines: string): string => staticApp(name, port, `[kittiwake.tls]\n${lines}`);
const access = (name: string, lines: string, port = target.port): string => staticApp(name, port, `[kittiwake.access]\n${lines}`);

const node = await startTestNode({
  edge: 'trusted_proxies = ["127.0.0.9"]',
  tables: "[limits]\nattempts = 2\nheld_body_bytes = 100",
  apps: {
    open: staticApp("open", front.port),
    known: tls("known", front.port, `client_ca = "${ca}"\nclient_auth = "optional"`),
    foreign: tls("foreign", front.port, `client_ca = "${strangersCa}"`),
    h2: staticApp("h2", (multiplexed.address() as AddressInfo).port).replace(
      "internal_port",
      "http_options = { h2_backend = true }\ninternal_port",
    ),
    plain: staticApp("plain", target.port),
    dead: staticApp("dead", await freePort()),
    denied: access("denied", 'deny = ["127.0.0.0/8"]'),
    others: access("others", 'allow = ["203.0.113.0/24"]'),
    welcome: access("welcome", 'allow = ["127.0.0.1"]'),
    few: access("few", "connections_per_address = 1"),
    rated1: access("rated1", 'rate = "1/h"\nburst = 2'),
    rated2: access("rated2", 'rate = "1/h"\nburst = 2'),
    bounced: access("bounced", 'rate = "1/h"\nburst = 1', bouncer.port),
    locked: tls("locked", target.port, `client_ca = "${ca}"`),
    listed: tls("listed", target.port, `client_ca = "${ca}"\nclient_crl = "${crl}"`),
    strange: tls("strange", target.port, `client_ca = "${strangersCa}"`),
    asking: tls("asking", target.port, `client_ca = "${ca}"\nclient_auth = "optional"`),
    curious: tls("curious", target.port, `client_ca = "${strangersCa}"\nclient_auth = "optional"`),
    short: staticApp("short", target.port, "").replace("[kittiwake]", "[kittiwake]\nmax_body_size = 10"),
    forced: staticApp("forced", target.port).replace("internal_port", "force_https = true\ninternal_port"),
  },
});
await eventually(
  () => ["open", "plain", "locked", "h2"].every((name) => node.node.control.machines(name).every(({ state }) => state === "started")),
  "the machines",
);
after(async () => {
  for (const part of [node, front, target, bouncer]) await part[Symbol.asyncDispose]();
  for (const session of sessions) session.destroy();
  multiplexed.close();
  clients[Symbol.dispose]();
  strangers[Symbol.dispose]();
});

const ca1 = rootOf(node);
type Client = Pick<ClientCertificate, "cert" | "key"> | null;

interface Got {
  readonly status: number;
  readonly code: string | null;
  readonly retryAfter: string | null;
  readonly body: string;
}

interface Connection extends Disposable {
  get(app: string, path: string): Promise<Got>;
  untilEnd(): Promise<unknown>;
}

function overHttp1(client: RawClient): Connection {
  return {
    get: async (app, path) => {
      const answer = await client.send(`GET ${path} HTTP/1.1\r\nhost: ${app}.localhost\r\n\r\n`).response();
      const { status, body } = answer;
      return { status, code: answer.header("kittiwake-error"), retryAfter: answer.header("retry-after"), body };
    },
    untilEnd: () => client.untilEnd(),
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

async function connect(protocol: "h1" | "h2", app: string, client: Client): Promise<Connection> {
  const servername = `${app}.localhost`;
  if (protocol === "h1") return overHttp1(await RawClient.connectTls(node.httpsPort, { ca: ca1, servername, ...client }));
  const options = { port: node.httpsPort, host: "127.0.0.1", ca: ca1, servername, ALPNProtocols: ["h2"], ...client };
  const session = connectHttp2(`https://${servername}`, { createConnection: () => connectTls(options) });
  session.on("error", () => {});
  const closed = once(session, "close");
  return {
    get: async (authority, path) => {
      const { status, headers, body } = await responseOf(session.request({ ":authority": `${authority}.localhost`, ":path": path }));
      const text = (name: string): string | null => (headers[name] as string | undefined) ?? null;
      return { status, code: text("kittiwake-error"), retryAfter: text("retry-after"), body };
    },
    untilEnd: () => closed,
    [Symbol.dispose]: () => session.destroy(),
  };
}

/** What one client gets, and what the machine that answered heard of its certificate. */
const outcome = ({ status, code, body }: Got): string => (status === 200 ? `200 ${identityIn(body)}`.trim() : `${status} ${code}`);

function identityIn(body: string): string {
  const fields = (JSON.parse(body) as [string, string][]).filter(([name]) => name.includes("client-cert"));
  const verdict = fields.find(([name]) => name === "x-client-cert-verify")?.[1] ?? "";
  // All of it or nothing.
  assert.equal(fields.length > 1, verdict === "SUCCESS", body);
  return verdict;
}

for (const protocol of ["h1", "h2"] as const) {
  describe(`4.1 the rules of the app that is replayed to, over ${protocol}`, () => {
    for (const [title, from, client, path, expected] of [
      ["an app without any", "open", null, "/plain", "200"],
      ["deny", "open", null, "/denied", "403 access_denied"],
      ["allow, of others", "open", null, "/others", "403 access_denied"],
      ["allow", "open", null, "/welcome", "200"],
      ["no fallback from a refusal", "open", null, "/denied?fallback=prefer_self", "403 access_denied"],
      ["a certificate demanded, and nobody was asked", "open", null, "/locked", "403 client_certificate_required"],
      ["the same with a fallback", "open", null, "/locked?fallback=force_self", "403 client_certificate_required"],
      ["a certificate demanded, and none was shown", "known", null, "/locked", "403 client_certificate_required"],
      ["a certificate demanded, and a bad one was shown", "known", mallory, "/locked", "403 client_certificate_required"],
      ["a certificate demanded, and a good one was shown", "known", alice, "/locked", "200 SUCCESS"],
      ["a certificate demanded of other issuers", "known", alice, "/strange", "403 client_certificate_required"],
      ["a certificate demanded that is on no list", "known", alice, "/listed", "403 client_certificate_required"],
      ["a certificate demanded here and there, of other issuers", "foreign", mallory, "/locked", "403 client_certificate_required"],
      ["a certificate demanded here and there, of the same ones", "foreign", mallory, "/strange", "200 SUCCESS"],
      ["a certificate asked for, and nobody was asked", "open", null, "/asking", "200 NONE"],
      ["a certificate asked for, and shown under the same rules", "known", alice, "/asking", "200 SUCCESS"],
      ["a certificate asked for, and a bad one shown under the same rules", "known", mallory, "/asking", "200 FAILED"],
      ["a certificate asked for of other issuers", "known", alice, "/curious", "200 NONE"],
      ["a certificate that the target does not ask for", "known", alice, "/plain", "200"],
      ["who falls back is known there again", "known", alice, "/dead?fallback=force_self", "200 SUCCESS"],
    ] as const) {
      test(title, async () => {
        await target.answers(({ fields }) => response(JSON.stringify(fields)));
        using connection = await connect(protocol, from, client);
        assert.equal(outcome(await connection.get(from, path)), expected);
        if (!expected.startsWith("200")) assert.equal(target.requests.length, 0);
        // The client is where it wanted to be, and may go on there.
        assert.equal((await connection.get(from, "/plain")).status, 200);
      });
    }

    test("rate: a request takes one of what its address has there", async () => {
      using connection = await connect(protocol, "open", null);
      const path = protocol === "h1" ? "/rated1" : "/rated2";
      for (const expected of ["200", "200", "429 rate_limited"]) assert.equal(outcome(await connection.get("open", path)), expected);
      const { retryAfter } = await connection.get("open", path);
      assert.ok(Number(retryAfter) > 1700, `${retryAfter}`);
      // It is one rate, whichever way the request comes.
      using direct = await connect(protocol, path.slice(1), null);
      assert.equal(outcome(await direct.get(path.slice(1), "/")), "429 rate_limited");
    });

    test("connections: one is counted once, and given back when it ends", async () => {
      const first = await connect(protocol, "open", null);
      for (let i = 0; i < 3; i++) assert.equal(outcome(await first.get("open", "/few")), "200");
      using second = await connect(protocol, "open", null);
      assert.equal(outcome(await second.get("open", "/few")), "429 too_many_connections");
      await second.untilEnd();
      first[Symbol.dispose]();
      await eventually(async () => {
        using third = await connect(protocol, "open", null);
        return outcome(await third.get("open", "/few")) === "200";
      }, "the place of the first");
      using known = await connect(protocol, "known", alice);
      await eventually(async () => outcome(await known.get("known", "/few")) === "200", "the place of the third");
      using other = await connect(protocol, "open", null);
      assert.equal(outcome(await other.get("open", "/few")), "429 too_many_connections");
    });
  });
}

describe("4.1 what else is the target's, and what is not", () => {
  const send = async (text: string): Promise<Got> => {
    using client = await RawClient.connect(node.httpPort);
    const answer = await client.send(text).response();
    return { status: answer.status, code: answer.header("kittiwake-error"), retryAfter: null, body: answer.body };
  };
  const get = (path: string): Promise<Got> => send(`GET ${path} HTTP/1.1\r\nhost: open.localhost\r\n\r\n`);

  test("without TLS there is no certificate to be shown", async () => {
    assert.equal(outcome(await get("/locked")), "403 client_certificate_required");
    assert.equal(outcome(await get("/asking")), "200");
  });

  for (const [title, ip, path, expected] of [
    ["allow", "203.0.113.9", "/others", "200"],
    ["allow, of others", "198.51.100.9", "/others", "403 access_denied"],
    ["deny, which has the proxy alone", "203.0.113.9", "/denied", "200"],
  ] as const) {
    test(`its client is whom a trusted proxy names: ${title}`, async () => {
      await target.answers(({ fields }) => response(JSON.stringify(fields)));
      const socket = connectSocket({ port: node.httpPort, host: "127.0.0.1", localAddress: "127.0.0.9" });
      await once(socket, "connect");
      using proxy = RawClient.of(socket);
      const answer = await proxy.send(`GET ${path} HTTP/1.1\r\nhost: open.localhost\r\nx-forwarded-for: ${ip}\r\n\r\n`).response();
      assert.equal(answer.status === 200 ? "200" : `${answer.status} ${answer.header("kittiwake-error")}`, expected);
    });
  }

  test("its rate is asked once for a request that comes by it several times", async () => {
    assert.equal(outcome(await get("/bounced")), "200");
    assert.equal(bouncer.requests.length, 3);
    assert.equal(outcome(await get("/bounced")), "429 rate_limited");
  });

  for (const [title, more, body] of [
    ["that has come", "", "x".repeat(11)],
    ["that is announced", "expect: 100-continue\r\n", ""],
  ] as const) {
    test(`its max_body_size holds for a body ${title}`, async () => {
      await target.answers(() => response("[]"));
      await front.answers(() => null);
      const sent = send(`POST / HTTP/1.1\r\nhost: open.localhost\r\ncontent-length: 11\r\n${more}\r\n${body}`);
      const machine = await front.connection();
      await machine.until((text) => text.endsWith(`\r\n\r\n${body}`));
      machine.send(response("", ["fly-replay: app=short"]));
      assert.equal(outcome(await sent), "413 body_too_large");
      assert.equal(target.requests.length, 0);
      await front.answers(replays);
    });
  }

  test("whether a host has to be asked by HTTPS is its own app's to say", async () => {
    assert.equal(outcome(await get("/forced")), "200");
  });

  test("4.2 who falls back is spoken to in the protocol of its own port", async () => {
    const answer = await send("GET / HTTP/1.1\r\nhost: h2.localhost\r\n\r\n");
    assert.deepEqual([answer.status, answer.body], [200, "multiplexed"]);
  });
});
