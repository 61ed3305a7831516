// Read your writes over regions (`[kittiwake.primary]`): what writes goes to the primary region, and so do the reads of whoever wrote, for a while.
// Issue 5 part 8, reference section 4.8, docs/decisions/010.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const COOKIE = "kittiwake_primary";
const FOLLOW_S = 10;

let node: TestNode;
const backends = new Map<string, ScriptedBackend>();

/** Machines `<app>-<region>`. The node is in nrt, and the primary region is ams. */
function fleet(app: string, places: Readonly<Record<string, number>>, { keys = "", kittiwake = "", service = "" } = {}): string {
  const machines = Object.entries(places).map(
    ([region, port]) => `[[kittiwake.machines]]\nid = "${app}-${region}"\nregion = "${region}"\naddress = "127.0.0.1:${port}"`,
  );
  return `
app = "${app}"
primary_region = "ams"
[http_service]
internal_port = 8080
${service}
[http_service.concurrency]
type = "requests"
[kittiwake]
driver = "static"
wake_timeout = "1s"
${kittiwake}
[kittiwake.primary]
${keys}
${machines.join("\n")}
`;
}

before(async () => {
  for (const region of ["ams", "nrt", "ord"]) backends.set(region, await ScriptedBackend.start((request) => answer(region, request)));
  const at = (region: string): number => backends.get(region)!.port;
  const dead = await freePort();
  const everywhere = { ams: at("ams"), nrt: at("nrt"), ord: at("ord") };
  node = await startTestNode({
    region: "nrt",
    tables: "[limits]\nattempts = 3",
    apps: {
      db: fleet("db", everywhere, {
        keys: 'always_forward = ["/admin/*"]\npassthrough = ["/static/*", "*.js"]',
        service: "http_options = { compress = true }",
      }),
      other: fleet("other", everywhere),
      custom: fleet("custom", everywhere, { keys: 'read_methods = ["GET", "SEARCH"]\nfollow = "0s"' }),
      headless: fleet("headless", { nrt: at("nrt") }),
      lenient: fleet("lenient", { nrt: at("nrt") }, { keys: 'fallback = "any"' }),
      cut: fleet("cut", { ams: dead, nrt: at("nrt") }),
      soft: fleet("soft", { ams: dead, nrt: at("nrt") }, { keys: 'fallback = "any"' }),
      wary: fleet("wary", everywhere, { kittiwake: 'steering = "trusted"' }),
      lost: fleet("lost", everywhere),
      plain: fleet("plain", everywhere).replace("[kittiwake.primary]", ""),
      router: fleet("router", { nrt: at("ord") }).replace("[kittiwake.primary]", ""),
      both: fleet("both", everywhere, { kittiwake: 'sticky = "cookie"' }),
    },
  });
  const { control } = node.node;
  const names = control.apps().map(({ name }) => name);
  await eventually(() => names.every((app) => control.machines(app).every(({ state }) => state === "started")), "the machines");
});

after(async () => {
  await Promise.all([...backends.values()].map((backend) => backend[Symbol.asyncDispose]()));
  await node[Symbol.asyncDispose]();
});

function answer(region: string, request: Message): string {
  const { target } = request;
  const host = request.header("host");
  if (host === "router.localhost" && region === "ord" && target === "/plain") return response("", ["fly-replay: app=plain"]);
  if (host === "router.localhost" && region === "ord")
    return response("", ["fly-replay: app=db", "fly-replay-cache: /known/*", "fly-replay-cache-ttl-secs: 60"]);
  if (target === "/refused") return response(region, [], "422 Unprocessable Content");
  if (target === "/broken") return response(region, [], "500 Internal Server Error");
  if (target === "/back" && region === "ams") return response("", ["fly-replay: region=nrt"]);
  if (target.endsWith("/socket")) return "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
  return response(region);
}

interface Sent {
  readonly app?: string;
  readonly lines?: readonly string[];
  readonly cookie?: string | null;
  readonly body?: string;
}

async function send(request: string, { app = "db", lines = [], cookie = null, body = "" }: Sent = {}): Promise<Message> {
  using client = await RawClient.connect(node.httpPort);
  const all = [
    `host: ${app}.localhost`,
    ...(cookie === null ? [] : [`cookie: theme=dark; ${cookie}`]),
    ...(body === "" ? [] : [`content-length: ${body.length}`]),
    ...lines,
  ];
  client.send(`${request} HTTP/1.1\r\n${all.map((line) => `${line}\r\n`).join("")}\r\n${body}`);
  return await client.response({ toHead: request.startsWith("HEAD") });
}

function setBy(answered: Message, name = COOKIE): string | null {
  const line = answered.all("set-cookie").find((value) => value.startsWith(`${name}=`));
  return line === undefined ? null : line.replace(/;.*/, "");
}

const written = async (app = "db"): Promise<string> => setBy(await send("POST /", { app }))!;
const UPGRADE = ["connection: upgrade", "upgrade: echo"];

for (const [request, expected, app = "db", lines = []] of [
  ["GET /", "nrt"],
  ["HEAD /", "nrt"],
  ["OPTIONS /", "nrt"],
  ["POST /", "ams follow"],
  ["PUT /", "ams follow"],
  ["PATCH /", "ams follow"],
  ["DELETE /", "ams follow"],
  ["PROPFIND /", "ams follow"],
  ["POST /refused", "ams follow"],
  ["POST /broken", "ams follow"],
  ["GET /admin/users?page=2", "ams follow"],
  ["GET /administrators", "nrt"],
  ["POST /static/app", "nrt"],
  ["POST /app.js?v=2", "nrt"],
  ["SEARCH /", "nrt", "custom"],
  ["OPTIONS /", "ams", "custom"],
  ["POST /", "ams", "custom"],
  ["POST /", "no_machine", "headless"],
  ["GET /", "nrt", "headless"],
  ["POST /", "nrt", "lenient"],
  ["POST /", "connect_refused", "cut"],
  ["GET /", "nrt", "cut"],
  ["POST /", "nrt", "soft"],
  ["POST /", "ord", "db", ["fly-force-region: ord"]],
  ["POST /", "nrt", "db", ["fly-force-instance-id: db-nrt"]],
  ["POST /", "ams follow", "db", ["fly-prefer-region: ord"]],
  ["POST /", "ams follow", "db", ["fly-prefer-instance-id: db-ord"]],
  ["POST /", "ams follow", "db", ["fly-prefer-instance-id: db-ams"]],
  ["GET /", "ord", "db", ["fly-prefer-region: ord"]],
  ["POST /", "ams follow", "wary", ["fly-force-region: ord"]],
  ["POST /back", "nrt"],
  ["GET /socket", "101 nrt", "db", UPGRADE],
  ["GET /admin/socket", "101 ams follow", "db", UPGRADE],
] as const satisfies readonly (readonly [string, string, string?, (readonly string[])?])[]) {
  test(`issue 5 part 8: ${request} ${lines[0] ?? ""} of ${app} goes to ${expected}`, async () => {
    const target = request.split(" ")[1]!;
    const countIn = (region: string): number => backends.get(region)!.requests.filter((one) => one.target === target).length;
    const before = new Map([...backends.keys()].map((region) => [region, countIn(region)]));
    const one = await send(request, { app, lines });
    const came = [...backends.keys()].filter((region) => countIn(region) > before.get(region)!);
    const where = one.header("kittiwake-error") ?? (target === "/back" ? one.body : came.join());
    const got = `${one.status === 101 ? "101 " : ""}${where}${setBy(one) === null ? "" : " follow"}`;
    assert.equal(got, expected);
  });
}

test("issue 5 part 8: who wrote reads in the primary region for as long as `follow`, and others where they are", async () => {
  const post = await send("POST /", { body: "a=1" });
  const [line = ""] = post.all("set-cookie");
  assert.match(line, /^kittiwake_primary=[0-9a-z]+\.[\w-]{22}\.ams; Path=\/; Max-Age=10; HttpOnly; SameSite=Lax$/);
  const cookie = setBy(post);
  const follows = await send("GET /", { cookie });
  assert.deepEqual([follows.body, setBy(follows)], ["ams", null]);
  assert.equal((await send("GET /static/logo", { cookie })).body, "nrt");
  assert.equal((await send("GET /")).body, "nrt");
  assert.equal((await send("GET /", { cookie, lines: ["fly-prefer-region: ord"] })).body, "ord");
  await node.passTime((FOLLOW_S + 1) * 1000);
  assert.equal((await send("GET /", { cookie })).body, "nrt");
});

test("issue 5 part 8: what writes goes to the primary region of the app that it is replayed to, unless the order says where", async () => {
  assert.equal((await send("GET /", { app: "router" })).body, "nrt");
  const post = await send("POST /", { app: "router" });
  assert.equal(post.body, "ams");
  assert.match(setBy(post) ?? "", /\.ams$/);
  assert.equal((await send("GET /", { app: "router", cookie: setBy(post) })).body, "ams");
  // The first is replayed, which the others are known by.
  for (let i = 0; i < 3; i++) assert.equal((await send("GET /known/path", { app: "router" })).body, "nrt");
  const asked = backends.get("ord")!.requests.length;
  assert.equal((await send("POST /known/path", { app: "router" })).body, "ams");
  assert.equal((await send("GET /known/path", { app: "router", cookie: setBy(post) })).body, "ams");
  assert.equal(backends.get("ord")!.requests.length, asked);
});

test("4.1 what a client asked of one app does not follow it to another that a replay names", async () => {
  for (const lines of [["fly-prefer-region: ord"], ["fly-prefer-region: ams"], []]) {
    for (const method of ["GET", "POST"]) assert.equal((await send(`${method} /plain`, { app: "router", lines })).body, "nrt");
  }
});

test("issue 5 part 8: an upgrade of who wrote follows as well", async () => {
  const cookie = await written();
  const countIn = (): number => backends.get("ams")!.requests.filter((one) => one.target === "/socket").length;
  const before = countIn();
  assert.equal((await send("GET /socket", { cookie, lines: UPGRADE })).status, 101);
  assert.equal(countIn(), before + 1);
});

for (const [title, cookie] of [
  ["forged", async () => `${COOKIE}=zzzzzz.${"A".repeat(22)}.ams`],
  ["of another app", async () => await written("other")],
  ["cut off", async () => (await written()).slice(0, -1)],
  ["that says another region", async () => (await written()).replace(/ams$/, "ord")],
  ["for another purpose", async () => (await written()).replace(COOKIE, "kittiwake_sticky")],
] as const) {
  test(`issue 5 part 8: a cookie ${title} leads nowhere`, async () => {
    assert.equal((await send("GET /", { cookie: await cookie() })).body, "nrt");
  });
}

test("issue 5 part 8: where the primary region is lost reads go on, writes are refused", async () => {
  assert.deepEqual((await send("POST /", { app: "headless" })).status, 503);
  // The cookie is good, but there is nobody to follow it to.
  const cookie = await written("lost");
  const { control } = node.node;
  node.writeApp("lost", fleet("lost", { nrt: backends.get("nrt")!.port }));
  assert.deepEqual((await control.reload()).changed, ["lost"]);
  await eventually(() => control.machines("lost").length === 1, "the machine that is left");
  assert.equal((await send("GET /", { app: "lost", cookie })).body, "nrt");
  assert.equal((await send("POST /", { app: "lost", cookie })).header("kittiwake-error"), "no_machine");
});

test("issue 5 part 8 and 4.8: writes, and reads that follow them, leave the machine that a client sticks to as it is", async () => {
  const first = await send("GET /", { app: "both" });
  const sticky = setBy(first, "kittiwake_sticky")!;
  assert.match(sticky, /\.both-nrt$/);
  const post = await send("POST /", { app: "both", cookie: sticky });
  assert.deepEqual([post.body, setBy(post, "kittiwake_sticky")], ["ams", null]);
  const follows = await send("GET /", { app: "both", cookie: `${sticky}; ${setBy(post)}` });
  assert.deepEqual([follows.body, setBy(follows, "kittiwake_sticky")], ["ams", null]);
  assert.equal((await send("GET /", { app: "both", cookie: sticky })).body, "nrt");
});

test("issue 5 part 8: over HTTP/2 and in compressed responses, for HTTPS alone", async () => {
  using client = await Http2Client.connect(node, {}, "db.localhost");
  const post = await client.post("/", "a=1", { ":authority": "db.localhost", "accept-encoding": "gzip" });
  const [line = ""] = post.headers["set-cookie"]!;
  assert.match(line, /^kittiwake_primary=\S+; Path=\/; Max-Age=10; HttpOnly; SameSite=Lax; Secure$/);
  const read = await client.get("/", { ":authority": "db.localhost", cookie: line.replace(/;.*/, "") });
  assert.equal(read.body, "ams");
});

test("issue 5 part 10: explain knows what writes, and who follows", async () => {
  const ask = async (query: string): Promise<{ outcome: { machine: string }; rules: { rule: string; verdict: string }[] }> =>
    (await (await fetch(`${node.adminUrl}/explain?url=${query}`)).json()) as never;
  const cookie = encodeURIComponent(`cookie: ${await written()}`);
  for (const [query, machine, verdict] of [
    ["http://db.localhost/", "db-nrt", "reads, in any region"],
    ["http://db.localhost/&method=POST", "db-ams", "writes, which is for ams"],
    ["http://db.localhost/admin/users", "db-ams", "writes, which is for ams"],
    [`http://db.localhost/&header=${cookie}`, "db-ams", "reads, and its client wrote a while ago: follows to ams"],
    ["http://db.localhost/app.js&method=POST", "db-nrt", "passes through, to any region"],
  ] as const) {
    const { outcome, rules } = await ask(query);
    assert.deepEqual([outcome.machine, rules.find(({ rule }) => rule === "primary")?.verdict], [machine, verdict]);
  }
});
