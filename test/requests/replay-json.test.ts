// A machine asks for a replay by a document in JSON (reference 4.3), and what the target gets of the request that it changed. The document
// itself is in test/edge/replay-document.test.ts.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { machineOf, processApp } from "../support/apps.ts";
import { freePort, staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend, type Answer } from "../support/scripted-backend.ts";

const TYPE = "application/vnd.fly.replay+json";
const REGIONS = ["ams", "fra", "nrt", "ord"] as const;
const MOST_BYTES = 64 * 1024;

const [ams, nrt, ord] = [await ScriptedBackend.start(), await ScriptedBackend.start(), await ScriptedBackend.start()];
const dead = await freePort();

/** What a machine that speaks HTTP/2 answers to a request that is no replay. */
let order: unknown;
const multiplexed = createServer();
const sessions = new Set<ServerHttp2Session>();
multiplexed.on("session", (session) => sessions.add(session));
multiplexed.on("stream", (stream: ServerHttp2Stream, headers) => {
  stream.on("error", () => {});
  const isReplay = headers["fly-replay-src"] !== undefined;
  stream.respond({ ":status": 200, "content-type": isReplay ? "text/plain" : TYPE });
  if (!isReplay) return stream.end(JSON.stringify(order));
  let body = "";
  stream.setEncoding("latin1").on("data", (part: string) => (body += part));
  stream.on("end", () => {
    const fields = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
    const what = { machine: "h2", method: headers[":method"], target: headers[":path"], fields, body };
    stream.end(Buffer.from(JSON.stringify(what), "latin1"));
  });
});
multiplexed.listen(0, "127.0.0.1");
await once(multiplexed, "listening");

const ports = { ams: ams.port, fra: dead, nrt: nrt.port, ord: ord.port };
const machines = REGIONS.slice(1).map(
  (region) => `[[kittiwake.machines]]\nid = "hello-${region}"\nregion = "${region}"\naddress = "127.0.0.1:${ports[region]}"`,
);
const machinesOf = (name: string): string =>
  staticApp(name, ams.port, machines.join("\n").replaceAll("hello-", `${name}-`)).replace("-1", "-ams");

const node = await startTestNode({
  tables: "[limits]\nattempts = 3\nheld_body_bytes = 100\nreplay_body_bytes = 5000\nretry_body_bytes = 5000",
  apps: {
    hello: machinesOf("hello"),
    kept: machinesOf("kept"),
    writes: `${machinesOf("writes")}\n[kittiwake.primary]\nalways_forward = ["/write/*"]`.replace('on = "ams"', 'on = "ord"'),
    asleep: processApp("asleep", { more: '[kittiwake.wake_guard]\nanswers = ["robots"]' }),
    h2: staticApp("h2", (multiplexed.address() as AddressInfo).port).replace(
      "internal_port",
      "http_options = { h2_backend = true }\ninternal_port",
    ),
  },
});
for (const name of ["hello", "h2"])
  await eventually(() => node.node.control.machines(name).every(({ state }) => state === "started"), `the machines of ${name}`);
after(async () => {
  for (const part of [node, ams, nrt, ord]) await part[Symbol.asyncDispose]();
  for (const session of sessions) session.destroy();
  multiplexed.close();
});

interface Got {
  readonly machine: string;
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

const says =
  (machine: string): Answer =>
  ({ method, target, fields, body }) =>
    response(JSON.stringify({ machine, method, target, fields, body } satisfies Got));

/** The answer of a machine that hands a request on. */
function orders(document: unknown, lines: readonly string[] = []): string {
  const text = typeof document === "string" ? document : JSON.stringify(document);
  return response(Buffer.from(text).toString("latin1"), [`content-type: ${TYPE}`, ...lines]);
}

/** The machine in Amsterdam answers so, unless the request has been there; the others say what they got. */
async function script(answer: string): Promise<void> {
  await ams.answers((request, connection) => {
    const isSecond = [...request.all("fly-replay-src"), ...request.all("fly-replay-failed")].length > 0;
    return isSecond ? says("ams")(request, connection) : answer;
  });
  await nrt.answers(says("nrt"));
  await ord.answers(says("ord"));
}

const GET = "GET /old?q HTTP/1.1\r\nhost: hello.localhost\r\n\r\n";

async function send(text = GET): Promise<Message> {
  using client = await RawClient.connect(node.httpPort);
  const answer = await client.send(text).response();
  assert.notEqual(answer.header("content-type"), TYPE);
  return answer;
}

async function got(text = GET): Promise<Got> {
  const answer = await send(text);
  assert.equal(answer.status, 200, answer.raw);
  return JSON.parse(answer.body) as Got;
}

const outcome = (answer: Message): string =>
  answer.status === 200 ? (JSON.parse(answer.body) as Got).machine : `${answer.status} ${answer.header("kittiwake-error")}`;
const all = ({ fields }: Got, name: string): string[] => fields.filter((field) => field[0] === name).map(([, value]) => value);

describe("reference 4.3: the same fields as the header has", () => {
  for (const [document, expected] of [
    [{ region: "nrt" }, "nrt"],
    [{ region: ["syd", "ord", "nrt"] }, "ord"],
    [{ region: "syd,apac" }, "nrt"],
    [{ region: ["syd"] }, "503 no_machine"],
    [{ instance: "hello-ord" }, "ord"],
    [{ prefer_instance: "hello-syd", region: "nrt" }, "nrt"],
    [{ app: "hello", region: "ord" }, "ord"],
    [{ app: "unknown" }, "502 replay_target_not_found"],
    [{ elsewhere: true, region: ["ams", "nrt"] }, "nrt"],
    [{ region: "syd", fallback: "force_self" }, "ams"],
    [{ region: "nrt", timeout: "10s", cache: { prefix: "/*", ttl: 60 }, allow_bypass: true }, "nrt"],
    [{ region: "nrt", color: "red" }, "502 replay_malformed"],
    [{ transform: { path: "/x" } }, "502 replay_malformed"],
    ["region=nrt", "502 replay_malformed"],
    ["", "502 replay_malformed"],
  ] as const) {
    test(JSON.stringify(document), async () => {
      await script(orders(document));
      assert.equal(outcome(await send()), expected);
    });
  }

  test("state reaches the target as it does by the header", async () => {
    await script(orders({ region: "nrt", state: "zoë=1" }));
    assert.match(all(await got(), "fly-replay-src").join(), /^instance=hello-ams;region=ams;t=\d{16};state=zo\u00c3\u00ab=1$/);
  });
});

describe("reference 4.3: cache", () => {
  const ask = async (path: string, lines = ""): Promise<string[]> => {
    const it = await got(`GET ${path} HTTP/1.1\r\nhost: kept.localhost\r\n${lines}\r\n`);
    return [it.machine, ...all(it, "fly-replay-cache-status"), `${ams.requests.length}`];
  };
  const cache = (prefix: string): object => ({ cache: { prefix, ttl: 60 } });

  test("it is as by the header", async () => {
    await script(orders({ region: "nrt", ...cache("/a/*"), allow_bypass: true }));
    assert.deepEqual(await ask("/a/1"), ["nrt", "miss", "1"]);
    assert.deepEqual(await ask("/a/2"), ["nrt", "hit", "1"]);
    assert.deepEqual(await ask("/a/3", "fly-replay-cache-control: skip\r\n"), ["nrt", "bypass", "2"]);
    await nrt.answers((request, connection) => {
      const isBack = request.target === "/a/back";
      return isBack ? orders({ region: "ams", cache: { invalidate: true } }) : says("nrt")(request, connection);
    });
    assert.deepEqual(await ask("/a/back"), ["ams", "miss", "3"]);
    assert.deepEqual(await ask("/a/4"), ["nrt", "miss", "4"]);
  });

  test("what changes the request is not remembered", async () => {
    await script(orders({ region: "nrt", transform: { path: "/new" }, ...cache("/b/*") }));
    for (const count of ["1", "2"]) assert.deepEqual(await ask("/b/1"), ["nrt", "miss", count]);
  });

  test("nor what a machine asks for that got a request which was changed", async () => {
    await script("");
    await ams.answers((request) => {
      const isChanged = request.target === "/c/changed";
      return orders(isChanged ? { region: "ord", ...cache("/c/*") } : { region: "nrt", transform: { path: "/c/changed" } });
    });
    await nrt.answers(() => orders({ instance: "kept-ams" }));
    for (const count of ["2", "4"]) assert.deepEqual(await ask("/c/1"), ["ord", "miss", count]);
  });
});

const DOCUMENT = '{"region":"nrt"}';
/** With white space up to a length. */
const padded = (bytes: number): string => DOCUMENT + " ".repeat(bytes - DOCUMENT.length);
const head = (lines: string, status = "200 OK", type = TYPE): string => `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\n${lines}\r\n`;
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const length = (text: string, lines = ""): string => `${head(`${lines}content-length: ${text.length}\r\n`)}${text}`;

describe("reference 4.3: the response that the document is the body of", () => {
  for (const [title, bytes, expected, ends = false] of [
    ["with a length", length(DOCUMENT), "nrt"],
    ["in chunks", `${head("transfer-encoding: chunked\r\n")}${chunk("{")}${chunk(DOCUMENT.slice(1))}0\r\nx-sum: 1\r\n\r\n`, "nrt"],
    ["until the connection ends", head("connection: close\r\n") + DOCUMENT, "nrt", true],
    ["as long as it may be", length(padded(MOST_BYTES)), "nrt"],
    ["too long", length(padded(MOST_BYTES + 1)), "502 replay_malformed"],
    ["too long, in chunks", `${head("transfer-encoding: chunked\r\n")}${chunk(padded(60_000)).repeat(2)}`, "502 replay_malformed"],
    ["too long, until the connection ends", head("") + padded(MOST_BYTES + 1), "502 replay_malformed"],
    ["cut short", length(`${DOCUMENT}   `).slice(0, -1), "502 replay_malformed", true],
    ["cut short, in chunks", `${head("transfer-encoding: chunked\r\n")}${chunk(DOCUMENT)}`, "502 replay_malformed", true],
    ["malformed in its framing", `${head("transfer-encoding: chunked\r\n")}${chunk(DOCUMENT)}x\r\n`, "502 replay_malformed"],
    ["without any", head("content-length: 0\r\n"), "502 replay_malformed"],
    ["with a status that has none", head("", "204 No Content"), "502 replay_malformed"],
    ["compressed", length(DOCUMENT, "content-encoding: gzip\r\n"), "502 replay_malformed"],
    ["compressed twice over", length(DOCUMENT, "content-encoding: identity\r\ncontent-encoding: br\r\n"), "502 replay_malformed"],
    ["with a coding that is none", length(DOCUMENT, "content-encoding: Identity\r\n"), "nrt"],
    ["with any status", `${head("content-length: 16\r\nlocation: /x\r\n", "307 Temporary Redirect")}${DOCUMENT}`, "nrt"],
    ["with an error's", `${head("content-length: 16\r\n", "500 Oops")}${DOCUMENT}`, "nrt"],
    ["with a parameter", `${head("content-length: 16\r\n", "200 OK", `${TYPE}; charset=utf-8`)}${DOCUMENT}`, "nrt"],
    ["with a parameter in its own way", `${head("content-length: 16\r\n", "200 OK", `${TYPE} \t;x="y;z"`)}${DOCUMENT}`, "nrt"],
    ["in capitals", `${head("content-length: 16\r\n", "200 OK", TYPE.toUpperCase())}${DOCUMENT}`, "nrt"],
    ["beside the header, which counts", length(DOCUMENT, "fly-replay: region=ord\r\n"), "ord"],
    ["beside a header that is malformed", length(DOCUMENT, "fly-replay: nrt\r\n"), "502 replay_malformed"],
  ] as const) {
    test(title, async () => {
      await script("");
      await ams.answers((_, connection) => {
        connection.send(bytes);
        if (ends) connection.end();
        return null;
      });
      assert.equal(outcome(await send()), expected);
      await eventually(() => node.node.control.inFlight("hello-ams") === 0, "the place to be given back");
    });
  }

  test("byte by byte, and its connection is used again", async () => {
    await script("");
    const bytes = orders({ region: "nrt" });
    await ams.answers((_, connection) => {
      for (const byte of bytes) connection.send(byte);
      return "";
    });
    for (let i = 0; i < 3; i++) assert.equal(outcome(await send()), "nrt");
    assert.equal(ams.connections.length, 1);
  });

  test("none is there in answer to HEAD", async () => {
    await script(head("content-length: 16\r\n"));
    using client = await RawClient.connect(node.httpPort);
    const answer = await client.send("HEAD / HTTP/1.1\r\nhost: hello.localhost\r\n\r\n").response({ toHead: true });
    assert.deepEqual([answer.status, answer.header("kittiwake-error")], [502, "replay_malformed"]);
  });

  for (const type of [`${TYPE}x`, "application/vnd.fly.other+json", "application/json", `text/plain; x=${TYPE}`, `"${TYPE}"`, `x${TYPE}`]) {
    test(`${type} is something else, which the client gets`, async () => {
      await script(response(DOCUMENT, [`content-type: ${type}`]));
      using client = await RawClient.connect(node.httpPort);
      const answer = await client.send(GET).response();
      assert.deepEqual([answer.body, answer.header("content-type")], [DOCUMENT, type]);
    });
  }

  test("2.7: a machine that falls silent in the middle of it has not asked for anything", async () => {
    await script("");
    await ams.answers(() => null);
    using client = await RawClient.connect(node.httpPort);
    client.send(GET);
    const machine = await ams.connection();
    await machine.until((text) => text.endsWith("\r\n\r\n"));
    machine.send(length(DOCUMENT).slice(0, -1));
    const answer = await node.endsAfter(300_000, client.response());
    assert.equal(outcome(answer), "502 replay_malformed");
  });

  test("a client that leaves in the middle of it leaves nothing behind", async () => {
    await script("");
    await ams.answers(() => null);
    const client = await RawClient.connect(node.httpPort);
    client.send(GET);
    const machine = await ams.connection();
    await machine.until((text) => text.endsWith("\r\n\r\n"));
    machine.send(length(DOCUMENT).slice(0, -1));
    client.reset();
    await machine.untilEnd();
    await eventually(() => node.node.control.inFlight("hello-ams") === 0, "the place to be given back");
    assert.equal(nrt.requests.length, 0);
  });
});

describe("reference 4.3: transform", () => {
  const SENT =
    "GET /old?q HTTP/1.1\r\nhost: hello.localhost\r\ncookie: a=1\r\nX-Mine: 1\r\nx-mine: 2\r\nx-kept: yes\r\nx-hop: hidden\r\n" +
    "connection: x-hop, x-set\r\nuser-agent: test\r\n\r\n";
  const transform = {
    path: "/new?x=1",
    delete_headers: ["Cookie", "x-mine", "x-not-there"],
    set_headers: [
      { name: "X-Set", value: " one " },
      { name: "user-agent", value: "first" },
      { name: "User-Agent", value: "edge" },
      { name: "authorization", value: "Bearer zoë" },
    ],
  };

  function assertTransformed(it: Got): void {
    assert.equal(it.target, "/new?x=1");
    for (const name of ["cookie", "x-mine", "x-not-there", "x-hop"]) assert.deepEqual(all(it, name), [], name);
    assert.deepEqual(all(it, "x-kept"), ["yes"]);
    assert.deepEqual(all(it, "x-set"), ["one"]);
    assert.deepEqual(all(it, "user-agent"), ["edge"]);
    assert.deepEqual(all(it, "authorization"), ["Bearer zo\u00c3\u00ab"]);
  }

  function assertOriginal(it: Got): void {
    assert.equal(it.target, "/old?q");
    assert.deepEqual([all(it, "cookie"), all(it, "x-mine"), all(it, "user-agent")], [["a=1"], ["1", "2"], ["test"]]);
    assert.deepEqual([all(it, "x-set"), all(it, "authorization")], [[], []]);
  }

  test("path, delete_headers and set_headers change what the target gets, and nothing else", async () => {
    await script(orders({ region: "nrt", transform }));
    const it = await got(SENT);
    assertTransformed(it);
    assert.deepEqual([it.machine, it.method], ["nrt", "GET"]);
    assert.deepEqual(all(it, "host"), ["hello.localhost"]);
    assert.match(all(it, "fly-replay-src").join(), /^instance=hello-ams;/);
    assert.deepEqual(all(it, "fly-client-ip"), ["127.0.0.1"]);
  });

  test("the client's next request is as it sends it", async () => {
    await script(orders({ region: "nrt", transform }));
    using client = await RawClient.connect(node.httpPort);
    assertTransformed(JSON.parse((await client.send(SENT).response()).body) as Got);
    await ams.answers(says("ams"));
    assertOriginal(JSON.parse((await client.send(SENT).response()).body) as Got);
  });

  test("the access log has the path that the client asked for", async () => {
    await script(orders({ region: "nrt", transform: { path: "/secret" } }));
    await got("GET /asked HTTP/1.1\r\nhost: hello.localhost\r\n\r\n");
    const log = (): string => readFileSync(join(node.dir, "node.log"), "utf8");
    await eventually(() => log().includes('"path":"/asked"'), "the line");
    assert.ok(!log().includes("/secret"));
  });

  test("what the target makes of a request it makes of the one that it gets", async () => {
    const to = async (app: string, path: string, target = GET): Promise<Message> => {
      await script(orders({ app, transform: { path } }));
      return await send(target);
    };
    assert.equal(outcome(await to("writes", "/write/x")), "ord");
    assert.equal(outcome(await to("writes", "/x", GET.replace("/old", "/write/x"))), "ams");
    assert.match((await to("asleep", "/robots.txt")).body, /^User-agent/i);
    assert.notEqual(machineOf(node, "asleep").state, "started");
    assert.equal((JSON.parse((await to("asleep", "/x", GET.replace("/old?q", "/robots.txt"))).body) as { app: string }).app, "asleep");
  });

  for (const [title, head, body] of [
    ["a body that was held whole", "content-length: 3", "abc"],
    ["a body that was kept while it streamed", "content-length: 4000", "x".repeat(4000)],
    ["a body in chunks", "transfer-encoding: chunked", "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"],
  ] as const) {
    test(`${title} goes on with it`, async () => {
      await script(orders({ region: "nrt", transform }));
      const it = await got(`POST /old HTTP/1.1\r\nhost: hello.localhost\r\n${head}\r\n\r\n${body}`);
      assert.deepEqual([it.method, it.target, it.body], ["POST", "/new?x=1", body.startsWith("3") ? "abc" : body]);
    });
  }

  test("the rest of a body that is still on its way goes to the target", async () => {
    await script("");
    await ams.answers(() => null);
    using client = await RawClient.connect(node.httpPort);
    client.send("POST /old HTTP/1.1\r\nhost: hello.localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    const first = await ams.connection();
    await first.until((text) => text.includes("abc"));
    first.send(orders({ region: "nrt", transform }));
    const second = await nrt.connection();
    await second.until((text) => text.includes("abc"));
    client.send("3\r\ndef\r\n0\r\n\r\n");
    const { target, body } = JSON.parse((await client.response()).body) as Got;
    assert.deepEqual([target, body], ["/new?x=1", "abcdef"]);
  });

  test("2.7: a body that grows too long for a replay while the document comes is an error", async () => {
    await script("");
    await ams.answers(() => null);
    using client = await RawClient.connect(node.httpPort);
    client.send("POST / HTTP/1.1\r\nhost: hello.localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    const first = await ams.connection();
    await first.until((text) => text.includes("abc"));
    const text = orders({ region: "nrt" });
    first.send(text.slice(0, -1));
    client.send(chunk("y".repeat(6000)));
    await first.until((received) => received.includes("y".repeat(6000)));
    first.send(text.slice(-1));
    assert.equal(outcome(await client.response()), "502 replay_body_lost");
    assert.equal(nrt.requests.length, 0);
  });

  test("it holds on every attempt", async () => {
    await script(orders({ region: ["fra", "nrt"], transform }));
    const it = await got(SENT);
    assert.equal(it.machine, "nrt");
    assertTransformed(it);
    // One that fails after it was sent.
    await nrt.answers((_, connection) => {
      if (nrt.requests.length > 1) return says("nrt")(nrt.requests.at(-1)!, connection);
      connection.socket.destroy();
      return null;
    });
    await ams.answers(() => orders({ region: ["nrt", "ord"], transform }));
    const again = await got(SENT);
    assert.equal(again.machine, "ord");
    assertTransformed(again);
  });

  test("it holds for whoever the target hands the request on to, and that one's own comes on top", async () => {
    await script(orders({ region: "nrt", transform }));
    await nrt.answers(() => response("", ["fly-replay: region=ord"]));
    assertTransformed(await got(SENT));
    await nrt.answers(() => orders({ region: "ord", transform: { path: "/newer", delete_headers: ["x-set"] } }));
    const it = await got(SENT);
    assert.deepEqual([it.machine, it.target, all(it, "x-set"), all(it, "user-agent")], ["ord", "/newer", [], ["edge"]]);
  });

  test("4.2 who falls back gets the request as it had it", async () => {
    await script(orders({ region: "syd", transform, fallback: "force_self" }));
    const back = await got(SENT);
    assert.match(all(back, "fly-replay-failed").join(), /^app=hello;region=syd;/);
    assertOriginal(back);
    // The same behind another replay.
    await ams.answers(() => orders({ region: "nrt", transform }));
    await nrt.answers((request, connection) => {
      if (request.header("fly-replay-failed") !== null) return says("nrt")(request, connection);
      return orders({ region: "syd", transform: { path: "/newer" }, fallback: "force_self" });
    });
    const further = await got(SENT);
    assert.equal(further.machine, "nrt");
    assertTransformed(further);
  });

  test("a WebSocket's request is one like any other", async () => {
    await script(orders({ region: "nrt", transform: { path: "/socket" } }));
    await nrt.answers(({ target }) => {
      return `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n${target}`;
    });
    using client = await RawClient.connect(node.httpPort);
    client.send("GET / HTTP/1.1\r\nhost: hello.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n");
    assert.match(await client.until((text) => text.endsWith("/socket")), /^HTTP\/1\.1 101 /);
  });

  for (const [title, change] of [
    ["a field that frames", { set_headers: [{ name: "Content-Length", value: "0" }] }],
    ["another host", { set_headers: [{ name: "host", value: "other.localhost" }] }],
    ["what the edge says of the client", { set_headers: [{ name: "fly-client-ip", value: "1.2.3.4" }] }],
    ["another line in a value", { set_headers: [{ name: "x-a", value: "1\r\nhost: other.localhost" }] }],
    ["another line in a path", { path: "/ HTTP/1.1\r\nhost: other.localhost\r\n\r\n" }],
    ["a path that is a URL", { path: "http://other.localhost/" }],
  ] as const) {
    test(`malformed: ${title}`, async () => {
      await script(orders({ region: "nrt", transform: change }));
      assert.equal(outcome(await send()), "502 replay_malformed");
      assert.equal(nrt.requests.length, 0);
    });
  }

  describe("between the protocols", () => {
    for (const [app, machine] of [
      ["hello", "nrt"],
      ["h2", "h2"],
    ] as const) {
      test(`a client of HTTP/2, ${app === "h2" ? "a machine of HTTP/2" : "a machine of HTTP/1.1"}`, async () => {
        order = { region: ["nrt", "ams"], transform };
        await script(orders(order));
        using client = await Http2Client.connect(node, {}, `${app}.localhost`);
        const sent = { ":authority": `${app}.localhost`, cookie: ["a=1", "b=2"], "x-mine": "1", "x-kept": "yes", "user-agent": "test" };
        const answer = await client.post("/old?q", "body", sent);
        const it = JSON.parse(answer.body) as Got;
        assertTransformed(it);
        assert.deepEqual([it.machine, it.method, it.body], [machine, "POST", "body"]);
        order = { region: "ams", transform: { path: "http://h/" } };
        await script(orders(order));
        const refused = await client.get("/old?q", { ":authority": `${app}.localhost` });
        assert.deepEqual([refused.status, refused.headers["kittiwake-error"]], [502, "replay_malformed"]);
      });
    }

    test("a client of HTTP/1.1, a machine of HTTP/2", async () => {
      order = { elsewhere: false, transform };
      const it = await got(SENT.replace("hello.localhost", "h2.localhost"));
      assert.equal(it.machine, "h2");
      assertTransformed(it);
    });
  });
});
