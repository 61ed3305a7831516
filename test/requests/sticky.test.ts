// Clients that come back to the machine that answered them, by a cookie (`[kittiwake] sticky`). Reference section 4.8, docs/decisions/010.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http2";
import { after, before, test } from "node:test";
import { pino } from "pino";
import { Secret } from "../../src/certs/secret.ts";
import { SignedCookies } from "../../src/edge/signed-cookies.ts";
import { APP_COMMAND, machineOf, processApp } from "../support/apps.ts";
import { freePort, staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const COOKIE = "kittiwake_sticky";
const TTL_S = 120;
const STICKY = `[kittiwake]\nsticky = "cookie"\nsticky_ttl = "${TTL_S}s"`;
const MACHINES = ["1", "2", "3"] as const;
const HELD = "/hold";

let node: TestNode;
let backends: ScriptedBackend[];
let signed: SignedCookies;
/** With a request for `HELD` on it. */
let holding: RawClient | null = null;
const secret = `${randomBytes(32).toString("base64")} ${randomBytes(32).toString("base64")}`;

/** Machines `<app>-1` and so on, all in one region, so that only chance and cookies tell them apart. */
function fleet(app: string, ports: readonly number[], more = ""): string {
  const rest = ports.slice(1).map((port, index) => {
    return `[[kittiwake.machines]]\nid = "${app}-${index + 2}"\nregion = "ams"\naddress = "127.0.0.1:${port}"`;
  });
  return staticApp(app, ports[0]!, rest.join("\n")).replace("[kittiwake]", `${STICKY}\n${more}`);
}

before(async () => {
  backends = await Promise.all(MACHINES.map((name) => ScriptedBackend.start((request, connection) => answer(name, request, connection))));
  const ports = backends.map(({ port }) => port);
  const dead = await freePort();
  const opened = await Secret.open({ path: "", environment: secret, isInUse: async () => true, log: pino({ level: "silent" }) });
  signed = new SignedCookies({ keys: opened.derived("cookies"), now: Date.now });
  const zip = fleet("zip", ports).replace("[http_service.concurrency]", "http_options = { compress = true }\n[http_service.concurrency]");
  node = await startTestNode({
    secret,
    tables: "[limits]\nattempts = 3",
    apps: {
      shop: fleet("shop", ports),
      other: fleet("other", ports),
      plain: fleet("plain", ports).replace('sticky = "cookie"', ""),
      broken: fleet("broken", [ports[0]!, dead]),
      one: fleet("one", ports.slice(0, 2)).replace("[http_service.concurrency]", "[http_service.concurrency]\nhard_limit = 1"),
      zip,
      sleepy: processApp("sleepy", {
        regions: ["ams", "nrt"],
        command: `BOOT_MS=$([ "$FLY_REGION" = nrt ] && echo 1500 || echo 0) ${APP_COMMAND.replace("exec ", "exec env ")}`,
        more: 'sticky = "cookie"',
      }),
    },
  });
  const { control } = node.node;
  await eventually(
    () =>
      ["shop", "other", "plain", "broken", "one", "zip"].every((app) => control.machines(app).every(({ state }) => state === "started")),
    "the machines",
  );
});

after(async () => {
  await Promise.all(backends.map((backend) => backend[Symbol.asyncDispose]()));
  await node[Symbol.asyncDispose]();
});

function answer(name: string, request: Message, connection: RawClient): string | null {
  const path = new URL(request.target, "http://x").pathname;
  if (path === HELD) {
    holding = connection;
    return null;
  }
  if (path === "/replay" && name !== "3") return response("", ["fly-replay: instance=shop-3"]);
  if (path === "/own") return response(name, ["set-cookie: session=1; Path=/", "set-cookie: theme=dark", "content-type: text/plain"]);
  if (path === "/public") return response(name, ["cache-control: max-age=60, public"]);
  if (path === "/shared") return response(name, ["cache-control: s-maxage=60"]);
  if (path === "/private") return response(name, ["cache-control: private, max-age=60"]);
  if (path === "/failing") return response(name, [], "500 Internal Server Error");
  if (path === "/long") return response(name.repeat(2000), ["content-type: text/plain"]);
  if (path === "/chat") {
    const accept = createHash("sha1")
      .update(`${request.header("sec-websocket-key")}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    return `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
  }
  if (path === "/socket") return "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
  return response(name);
}

interface Sent {
  readonly app?: string;
  readonly path?: string;
  readonly method?: string;
  readonly lines?: readonly string[];
}

async function send(cookie: string | null, { app = "shop", path = "/", method = "GET", lines = [] }: Sent = {}): Promise<Message> {
  using client = await RawClient.connect(node.httpPort);
  const all = [`host: ${app}.localhost`, ...(cookie === null ? [] : [`cookie: ${cookie}`]), ...lines];
  client.send(`${method} ${path} HTTP/1.1\r\n${all.map((line) => `${line}\r\n`).join("")}\r\n`);
  return await client.response({ toHead: method === "HEAD" });
}

/** `name=value` of the edge's own cookie that a response sets; null: it sets none. */
function setBy(answered: Message): string | null {
  const [line, ...more] = answered.all("set-cookie").filter((value) => value.startsWith(COOKIE));
  assert.deepEqual(more, []);
  return line === undefined ? null : line.replace(/;.*/, "");
}

function cookieFor(machine: string, app = "shop", forS = TTL_S): string {
  return signed.set(COOKIE, app, { text: machine, forS, isSecure: false }).replace(/;.*/, "");
}

const machineIn = (cookie: string | null): string | undefined => cookie?.split(/\..{22}\./)[1];

test("4.8 the first response names its machine in a cookie, and those that follow come from there and set none", async () => {
  const first = await send(null);
  const [line = ""] = first.all("set-cookie");
  assert.match(line, /^kittiwake_sticky=[0-9a-z]+\.[\w-]{22}\.shop-[123]; Path=\/; Max-Age=120; HttpOnly; SameSite=Lax$/);
  const cookie = setBy(first);
  assert.equal(machineIn(cookie), `shop-${first.body}`);
  for (let i = 0; i < 12; i++) {
    const next = await send(cookie);
    assert.deepEqual([next.body, setBy(next)], [first.body, null]);
  }
});

test("4.8 every machine can be the one, whichever cookie a client has", async () => {
  for (const name of MACHINES) assert.equal((await send(cookieFor(`shop-${name}`))).body, name);
});

test("an app that does not ask for it neither sets cookies nor heeds them", async () => {
  const cookie = cookieFor("plain-3", "plain");
  const answers = await Promise.all(Array.from({ length: 24 }, () => send(cookie, { app: "plain" })));
  assert.ok(answers.every((one) => setBy(one) === null));
  assert.ok(answers.some(({ body }) => body !== "3"));
});

for (const [title, cookie] of [
  ["forged", () => `${COOKIE}=zzzzzz.${"A".repeat(22)}.shop-3`],
  ["of another machine under the same signature", () => cookieFor("shop-2").replace("shop-2", "shop-3")],
  ["cut off", () => cookieFor("shop-3").slice(0, -1)],
  ["with a shorter signature", () => cookieFor("shop-3").replace(/.\.shop/, ".shop")],
  ["of another app", () => cookieFor("shop-3", "other")],
  ["for another purpose", () => cookieFor("shop-3").replace(COOKIE, "kittiwake_primary")],
  ["that has expired", () => cookieFor("shop-3", "shop", -1)],
  ["of a machine that there is not", () => cookieFor("shop-9")],
  ["that is no cookie of ours", () => `${COOKIE}="; other=1`],
] as const) {
  test(`4.8 a cookie ${title} leads nowhere, and a new one is set`, async () => {
    const answers = await Promise.all(Array.from({ length: 24 }, () => send(cookie())));
    for (const one of answers) assert.equal(machineIn(setBy(one)), `shop-${one.body}`);
    assert.ok(answers.some(({ body }) => body !== "3"));
  });
}

for (const [title, header] of [
  ["among others", (cookie: string) => `a=b; ${cookie}; c=d`],
  ["in a field of its own", (cookie: string) => `a=b\r\ncookie: ${cookie}\r\ncookie: c=d`],
  ["behind one that is not good", (cookie: string) => `${COOKIE}=x; ${cookie}`],
] as const) {
  test(`4.8 a good cookie ${title} is found`, async () => {
    for (const name of MACHINES) {
      const one = await send(header(cookieFor(`shop-${name}`)));
      assert.deepEqual([one.body, setBy(one)], [name, null]);
    }
  });
}

test("4.8 when half of its time is over it is set anew for the same machine, and then it expires", async () => {
  const first = await send(null);
  await node.passTime((TTL_S / 2 + 1) * 1000);
  signed.pass((TTL_S / 2 + 1) * 1000);
  const half = await send(setBy(first));
  assert.equal(half.body, first.body);
  assert.equal(machineIn(setBy(half)), `shop-${first.body}`);
  assert.notEqual(setBy(half), setBy(first));
  assert.equal(setBy(await send(setBy(half))), null);
  await node.passTime((TTL_S / 2) * 1000);
  signed.pass((TTL_S / 2) * 1000);
  const answers = await Promise.all(Array.from({ length: 24 }, () => send(setBy(first))));
  assert.ok(answers.every((one) => setBy(one) !== null));
  assert.ok(answers.some(({ body }) => body !== first.body));
});

for (const [line, machines] of [
  ["fly-force-instance-id: shop-3", ["3"]],
  ["fly-prefer-instance-id: shop-3", ["3"]],
  // Which of them is a matter of chance, and of how quick each was before.
  ["fly-force-region: ams", ["1", "3"]],
  ["fly-prefer-region: ams", ["1", "3"]],
] as const) {
  test(`4.7 before 4.8: ${line} wins over the cookie, which stays as it is`, async () => {
    const answers = await Promise.all(Array.from({ length: 24 }, () => send(cookieFor("shop-2"), { lines: [line] })));
    assert.ok(answers.every((one) => setBy(one) === null));
    assert.ok(answers.some(({ body }) => machines.includes(body as never)));
    if (machines.length === 1) assert.ok(answers.every(({ body }) => body === machines[0]));
  });
}

test("4.1 before 4.8: a replay wins over the cookie, which stays as it is", async () => {
  for (const cookie of [cookieFor("shop-2"), cookieFor("shop-1")]) {
    const one = await send(cookie, { path: "/replay" });
    assert.deepEqual([one.body, setBy(one)], ["3", null]);
  }
  const answers = await Promise.all(Array.from({ length: 12 }, () => send(null, { path: "/replay" })));
  // Those that came to the third machine by themselves were not replayed.
  assert.ok(answers.every(({ body }) => body === "3") && answers.some((one) => setBy(one) === null));
});

test("4.8 a machine that cannot be reached: another one is chosen, and the cookie set anew", async () => {
  const one = await send(cookieFor("broken-2", "broken"), { app: "broken" });
  assert.deepEqual([one.status, one.body, machineIn(setBy(one))], [200, "1", "broken-1"]);
});

test("4.8 a machine at its hard limit: another one is chosen, and the cookie set anew", async () => {
  const cookie = cookieFor("one-2", "one");
  const first = send(cookie, { app: "one", path: HELD });
  await eventually(() => holding !== null, "the request that stays");
  const second = await send(cookie, { app: "one" });
  assert.deepEqual([second.body, machineIn(setBy(second))], ["1", "one-1"]);
  holding!.send(response("held", ["connection: close"]));
  assert.equal((await first).body, "held");
  await eventually(() => node.node.control.inFlight("one-2") === 0, "the place to be given back");
  assert.equal((await send(cookie, { app: "one" })).body, "2");
});

test("4.8 a machine that has sunk into a light sleep is woken, a deep one only when nothing else is up", async () => {
  const { control } = node.node;
  const { id } = machineOf(node, "sleepy", "nrt");
  const region = async (cookie: string): Promise<[region: string, set: string | undefined]> => {
    const one = await send(cookie, { app: "sleepy" });
    return [(JSON.parse(one.body) as { region: string }).region, machineIn(setBy(one))];
  };
  const cookie = cookieFor(id, "sleepy", 100_000);
  assert.deepEqual(await region(cookie), ["nrt", undefined], "nothing was up, so the one of the cookie was woken");
  const near = machineOf(node, "sleepy", "ams").id;
  await control.start("sleepy", near);
  await control.suspend("sleepy", id);
  assert.deepEqual(await region(cookie), ["nrt", undefined], "it was suspended");
  await control.stop("sleepy", id);
  assert.deepEqual(await region(cookie), ["ams", near], "it was stopped");
  assert.equal(machineOf(node, "sleepy", "nrt").state, "stopped");
});

test("4.8 an upgrade has the cookie in its 101, and goes where an earlier one says", async () => {
  const open = async (cookie: string | null): Promise<Message> =>
    await send(cookie, { path: "/socket", lines: ["connection: upgrade", "upgrade: echo"] });
  const first = await open(null);
  assert.equal(first.status, 101);
  const name = machineIn(setBy(first))!.slice(-1);
  const counts = (): number => backends[Number(name) - 1]!.requests.filter(({ target }) => target === "/socket").length;
  const before = counts();
  for (let i = 0; i < 6; i++) assert.deepEqual(setBy(await open(setBy(first))), null);
  assert.equal(counts(), before + 6);
});

test("4.8 HTTP/2: the cookie is set, is for HTTPS alone, and is found among crumbs", async () => {
  using client = await Http2Client.connect(node, {}, "shop.localhost");
  const get = async (cookie?: readonly string[]) =>
    await client.get("/own", { ":authority": "shop.localhost", ...(cookie === undefined ? {} : { cookie: [...cookie] as never }) });
  const first = await get();
  const lines = first.headers["set-cookie"]!;
  assert.deepEqual(lines.slice(0, 2), ["session=1; Path=/", "theme=dark"]);
  assert.match(lines[2]!, /^kittiwake_sticky=\S+; Path=\/; Max-Age=120; HttpOnly; SameSite=Lax; Secure$/);
  for (let i = 0; i < 8; i++) {
    const next = await get(["session=1", lines[2]!.replace(/;.*/, ""), "theme=dark"]);
    assert.deepEqual([next.body, next.headers["set-cookie"]?.length], [first.body, 2]);
  }
});

test("4.8 a WebSocket over HTTP/2 has the cookie in the response that opens it", async () => {
  using client = await Http2Client.connect(node, {}, "shop.localhost");
  if (!("enableConnectProtocol" in client.session.remoteSettings)) await once(client.session, "remoteSettings");
  const opening = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/chat", ":authority": "shop.localhost" };
  const open = async (cookie: string | null): Promise<IncomingHttpHeaders> => {
    const stream = client.open({ ...opening, ...(cookie === null ? {} : { cookie }) }, false);
    const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
    stream.close();
    return head;
  };
  const first = await open(null);
  assert.equal(first[":status"], 200);
  const [line = ""] = first["set-cookie"]!;
  assert.match(line, /^kittiwake_sticky=\S+\.shop-[123]; .*; Secure$/);
  for (let i = 0; i < 4; i++) assert.equal((await open(line.replace(/;.*/, "")))["set-cookie"], undefined);
});

test("4.8 beside the machine's own cookies, which stay, and in a compressed response", async () => {
  assert.deepEqual((await send(null, { path: "/own" })).all("set-cookie").slice(0, 2), ["session=1; Path=/", "theme=dark"]);
  const zipped = await send(null, { app: "zip", path: "/long", lines: ["accept-encoding: gzip"] });
  assert.equal(zipped.header("content-encoding"), "gzip");
  assert.match(machineIn(setBy(zipped))!, /^zip-[123]$/);
  assert.equal((await send(null, { app: "zip", path: "/own" })).all("set-cookie").length, 3);
});

for (const [path, isSet] of [
  ["/public", false],
  ["/shared", false],
  ["/failing", false],
  ["/private", true],
  ["/", true],
] as const) {
  test(`a response that is for everybody, or a failure, binds no client: ${path}`, async () => {
    assert.equal(setBy(await send(null, { path })) !== null, isSet);
  });
}

test("errors of the edge bind no client, and HEAD does", async () => {
  const refused = await send(null, { lines: ["fly-force-region: nrt"] });
  assert.deepEqual([refused.status, setBy(refused)], [503, null]);
  assert.notEqual(setBy(await send(null, { method: "HEAD" })), null);
});

test("an earlier key of the secret is still good, on a node that was started with it", async () => {
  const earlier = await Secret.open({
    path: "",
    environment: secret.split(" ")[1],
    isInUse: async () => true,
    log: pino({ level: "silent" }),
  });
  const cookies = new SignedCookies({ keys: earlier.derived("cookies"), now: Date.now });
  const cookie = cookies.set(COOKIE, "shop", { text: "shop-2", forS: 100_000, isSecure: false }).replace(/;.*/, "");
  for (let i = 0; i < 8; i++) assert.equal((await send(cookie)).body, "2");
});

test("a cookie outlives one exchange of the node's secret, and not two", async (t) => {
  const own = await startTestNode({
    apps: {
      shop: fleet(
        "shop",
        backends.slice(0, 1).map(({ port }) => port),
      ),
    },
  });
  t.after(() => own[Symbol.asyncDispose]());
  await eventually(() => own.node.control.machines("shop").every(({ state }) => state === "started"), "the machine");
  const ask = async (cookie: string | null): Promise<string | null> => {
    using client = await RawClient.connect(own.httpPort);
    client.send(`GET / HTTP/1.1\r\nhost: shop.localhost\r\n${cookie === null ? "" : `cookie: ${cookie}\r\n`}\r\n`);
    return setBy(await client.response());
  };
  const { certificates } = own.node.control;
  const first = await ask(null);
  await certificates.rotateSecret();
  // The worker has taken the new keys by then.
  await own.settle();
  assert.equal(await ask(first), null);
  const second = await ask(null);
  await certificates.rotateSecret();
  await own.settle();
  assert.notEqual(await ask(first), null);
  assert.equal(await ask(second), null);
});

test("issue 5 part 10: explain reads the cookie as the edge does", async () => {
  const ask = async (query: string): Promise<{ outcome: { machine: string }; rules: { rule: string; verdict: string }[] }> =>
    (await (await fetch(`${node.adminUrl}/explain?url=http://shop.localhost/&${query}`)).json()) as never;
  const kept = await ask(`header=${encodeURIComponent(`cookie: a=b; ${cookieFor("shop-3", "shop", 100_000)}`)}`);
  assert.equal(kept.outcome.machine, "shop-3");
  assert.deepEqual(kept.rules.find(({ rule }) => rule === "sticky")?.verdict, "keeps to machine shop-3");
  const none = await ask("");
  assert.deepEqual(none.rules.find(({ rule }) => rule === "sticky")?.verdict, "no good cookie: whoever answers is kept to");
});
