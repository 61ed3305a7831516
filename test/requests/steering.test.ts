// Request headers by which a client says where it wants to be served. Reference section 4.7.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { APP_COMMAND, machineOf, processApp } from "../support/apps.ts";
import { freePort, staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import type { Message } from "../support/message.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const REGIONS = ["ams", "fra", "nrt", "ord", "iad"] as const;

let node: TestNode;
let backends: ScriptedBackend[];
/** With a request for "/hold" on it. */
let holding: RawClient | null = null;

function machines(app: string, places: readonly (readonly [id: string, region: string, port: number])[]): string {
  const [[, , first], ...rest] = places as [(typeof places)[number], ...typeof places];
  const more = rest.map(
    ([id, region, port]) => `[[kittiwake.machines]]\nid = "${id}"\nregion = "${region}"\naddress = "127.0.0.1:${port}"`,
  );
  return staticApp(app, first, more.join("\n"));
}

before(async () => {
  const dead = await freePort();
  backends = await Promise.all(
    REGIONS.map(async (region) => await ScriptedBackend.start((request, connection) => answer(region, request, connection))),
  );
  const at = (region: (typeof REGIONS)[number]): number => backends[REGIONS.indexOf(region)]!.port;
  const world = machines(
    "world",
    REGIONS.map((region) => [`world-${region}`, region, at(region)] as const),
  );
  const broken = machines("broken", [
    ["broken-1", "ams", at("ams")],
    ["broken-nrt", "nrt", dead],
    ["broken-ord", "ord", at("ord")],
  ]);
  node = await startTestNode({
    tables: "[limits]\nattempts = 3",
    edge: 'proxy_protocol_from = ["127.0.0.1"]\ntrusted_proxies = ["10.0.0.0/8"]',
    apps: {
      world,
      broken,
      wary: world.replaceAll("world", "wary").replace("[kittiwake]", '[kittiwake]\nsteering = "trusted"'),
      one: machines("one", [
        ["one-1", "ams", at("ams")],
        ["one-nrt", "nrt", at("nrt")],
      ]).replace("[http_service.concurrency]", "[http_service.concurrency]\nhard_limit = 1"),
      sleepy: processApp("sleepy", { regions: ["ams", "nrt", "ord"] }),
      stuck: processApp("stuck", { regions: ["ams", "nrt"], command: `[ "$FLY_REGION" = nrt ] && exit 7; ${APP_COMMAND}` }),
    },
  });
  const { control } = node.node;
  await eventually(
    () => ["world", "broken", "wary", "one"].every((app) => control.machines(app).every(({ state }) => state === "started")),
    "the machines",
  );
});

after(async () => {
  await Promise.all(backends.map((backend) => backend[Symbol.asyncDispose]()));
  await node[Symbol.asyncDispose]();
});

function answer(region: string, request: Message, connection: RawClient): string | null {
  if (request.target === "/hold") {
    holding = connection;
    return null;
  }
  return response(region, [`unavailable: ${request.all("fly-preferred-instance-unavailable").join()}`]);
}

async function send(app: string, lines: string, ip = "127.0.0.1", target = "/"): Promise<Message> {
  using client = await RawClient.connect(node.httpPort);
  client.send(
    `PROXY TCP4 ${ip} 127.0.0.1 40000 80\r\nGET ${target} HTTP/1.1\r\nhost: ${app}.localhost\r\n${lines === "" ? "" : `${lines}\r\n`}\r\n`,
  );
  return await client.response();
}

for (const [section, lines, expected, app = "world"] of [
  ["nothing: the nearest", "", "ams"],
  ["prefer-region: that region", "fly-prefer-region: nrt", "nrt"],
  ["prefer-region: in order", "fly-prefer-region: syd,ord,nrt", "ord"],
  ["prefer-region: any case, with spaces, over two fields", "Fly-Prefer-Region: SYD\r\nfly-prefer-region:  Ord , nrt", "ord"],
  ["prefer-region: an alias, nearest first", "fly-prefer-region: syd,us", "iad"],
  ["prefer-region: apac", "fly-prefer-region: apac", "nrt"],
  ["prefer-region: none possible, so the nearest", "fly-prefer-region: syd,gru", "ams"],
  ["prefer-region: nothing in it", "fly-prefer-region: ,", "ams"],
  ["prefer-region: nobody answers there, so the nearest", "fly-prefer-region: nrt", "ams", "broken"],
  ["prefer-region: nobody answers there, so the next", "fly-prefer-region: nrt,ord", "ord", "broken"],
  ["force-region: that region", "fly-force-region: nrt", "nrt"],
  ["force-region: in order", "fly-force-region: syd,us,nrt", "iad"],
  ["force-region: none possible", "fly-force-region: syd,gru", "no_machine"],
  ["force-region: nothing in it", "fly-force-region: ,", "no_machine"],
  ["force-region: any at the end falls back", "fly-force-region: syd,any", "ams"],
  ["force-region: nobody answers there", "fly-force-region: nrt", "connect_refused", "broken"],
  ["prefer-instance-id: that machine", "fly-prefer-instance-id: world-ord", "ord"],
  ["prefer-instance-id: it is missing", "fly-prefer-instance-id: world-syd", "ams unavailable: world-syd"],
  ["prefer-instance-id: nobody answers there", "fly-prefer-instance-id: broken-nrt", "ams unavailable: broken-nrt", "broken"],
  ["prefer-instance-id: it is no id at all", "fly-prefer-instance-id: a b", "ams unavailable: a b"],
  ["prefer-instance-id before a region", "fly-prefer-instance-id: world-syd\r\nfly-force-region: ord", "ord unavailable: world-syd"],
  ["force-instance-id: that machine", "fly-force-instance-id: world-ord", "ord"],
  ["force-instance-id before everything", "fly-prefer-region: nrt\r\nfly-force-instance-id: world-fra", "fra"],
  ["force-instance-id: it is missing", "fly-force-instance-id: world-syd", "no_machine"],
  ["force-instance-id: a machine of another app", "fly-force-instance-id: world-nrt", "no_machine", "broken"],
  ["force-instance-id: nobody answers there", "fly-force-instance-id: broken-nrt", "connect_refused", "broken"],
  ["trusted: an address that is not", "fly-force-region: nrt", "ams", "wary"],
] as const) {
  test(`4.7 ${section}`, async () => {
    const { status, body, header } = await send(app, lines).then((message) => ({
      status: message.status,
      body: message.body,
      header: (name: string) => message.header(name),
    }));
    const unavailable = header("unavailable") ?? "";
    const got = status === 200 ? `${body}${unavailable === "" ? "" : ` unavailable: ${unavailable}`}` : header("kittiwake-error");
    assert.equal(got, expected);
  });
}

test('4.7 steering = "trusted": only from trusted proxies do the headers change anything', async () => {
  assert.equal((await send("wary", "fly-force-region: nrt", "203.0.113.9")).body, "ams");
  assert.equal((await send("wary", "fly-force-region: nrt", "10.1.2.3")).body, "nrt");
  assert.equal((await send("world", "fly-force-region: nrt", "203.0.113.9")).body, "nrt");
});

test("4.7 a preferred machine at its hard limit is passed over, a forced one is waited for", async () => {
  const { control } = node.node;
  const first = send("one", "fly-force-instance-id: one-nrt", "127.0.0.1", "/hold");
  await eventually(() => holding !== null, "the request that stays");
  assert.equal((await send("one", "fly-prefer-instance-id: one-nrt")).body, "ams");
  assert.equal((await send("one", "fly-prefer-region: nrt")).body, "ams");
  const second = send("one", "fly-force-instance-id: one-nrt");
  const isWaiting = async (): Promise<boolean> => {
    await control.metrics();
    return control.status().waiting === 1;
  };
  await eventually(isWaiting, "the request that waits");
  // What waits for one machine keeps nobody from another.
  assert.equal((await send("one", "")).body, "ams");
  holding!.send(response("held", ["connection: close"]));
  assert.equal((await first).body, "held");
  assert.equal((await second).body, "nrt");
});

test("4.7 a stopped machine that is asked for is woken, and no other", async () => {
  const asleep = (): string[] =>
    node.node.control
      .machines("sleepy")
      .filter(({ state }) => state !== "started")
      .map(({ region }) => region)
      .toSorted();
  const region = async (lines: string): Promise<string> => (JSON.parse((await send("sleepy", lines)).body) as { region: string }).region;
  assert.deepEqual(asleep(), ["ams", "nrt", "ord"]);
  assert.equal(await region("fly-prefer-region: nrt"), "nrt");
  assert.deepEqual(asleep(), ["ams", "ord"]);
  assert.equal(await region(`fly-force-instance-id: ${machineOf(node, "sleepy", "ord").id}`), "ord");
  assert.deepEqual(asleep(), ["ams"]);
  assert.equal(await region("fly-force-region: syd,ams"), "ams");
});

test("4.7 a machine that cannot be woken is passed over when it was preferred, and an error when it was forced", async () => {
  assert.equal((await send("stuck", "fly-force-region: nrt")).header("kittiwake-error"), "wake_failed");
  assert.equal(machineOf(node, "stuck", "ams").state === "started", false);
  assert.equal((JSON.parse((await send("stuck", "fly-prefer-region: nrt")).body) as { region: string }).region, "ams");
  assert.equal((await send("stuck", "fly-force-region: syd")).header("kittiwake-error"), "no_machine");
});

test("5.1 what only the edge may say does not come from a client", async () => {
  const names = [
    "fly-replay-src",
    "fly-replay-failed",
    "fly-replay-cache-status",
    "fly-preferred-instance-unavailable",
    "fly-src",
    "fly-src-signature",
  ];
  await backends[0]!.answers((request) => response(request.fields.map(([name]) => name).join()));
  const { body } = await send("world", names.map((name) => `${name}: forged`).join("\r\n"));
  for (const name of names) assert.ok(!body.split(",").includes(name), name);
  await backends[0]!.answers((request, connection) => answer("ams", request, connection));
});
