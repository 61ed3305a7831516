// A machine answers with `fly-replay`, and another one answers the request. Reference sections 2.7, 4.1, 4.2 and 4.4.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { machineOf, processApp } from "../support/apps.ts";
import { freePort, staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import type { Message } from "../support/message.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend, type Answer } from "../support/scripted-backend.ts";

const REGIONS = ["ams", "fra", "nrt", "ord"] as const;
type Place = (typeof REGIONS)[number];

let node: TestNode;
let backends: Record<Place, ScriptedBackend>;
let other: ScriptedBackend;

function app(name: string, places: readonly (readonly [region: string, port: number])[]): string {
  const [first, ...rest] = places;
  const more = rest.map(
    ([region, port]) => `[[kittiwake.machines]]\nid = "${name}-${region}"\nregion = "${region}"\naddress = "127.0.0.1:${port}"`,
  );
  return staticApp(name, first![1], more.join("\n")).replace(
    `${name}-1"\nregion = "ams"`,
    `${name}-${first![0]}"\nregion = "${first![0]}"`,
  );
}

before(async () => {
  const started = await Promise.all(REGIONS.map(async () => await ScriptedBackend.start()));
  backends = Object.fromEntries(REGIONS.map((region, index) => [region, started[index]!])) as typeof backends;
  other = await ScriptedBackend.start();
  const dead = await freePort();
  const world = app(
    "world",
    REGIONS.map((region) => [region, backends[region].port] as const),
  );
  node = await startTestNode({
    tables:
      '[timeouts]\nupstream_connect = "1h"\nupstream_idle = "1h"\n' +
      "[limits]\nattempts = 3\nheld_body_bytes = 100\nreplay_body_bytes = 5000\nretry_body_bytes = 5000",
    apps: {
      world,
      other: app("other", [["fra", other.port]]),
      broken: app("broken", [["fra", dead]]),
      elsewhere: app("elsewhere", [["fra", other.port]])
        .replace("[kittiwake]", "[kittiwake]")
        .replace(
          "[http_service]\ninternal_port = 8080",
          '[[services]]\nprotocol = "tcp"\ninternal_port = 8080\n[[services.ports]]\nport = 81\nhandlers = ["http"]',
        )
        .replace("[http_service.concurrency]", "[services.concurrency]"),
      sleepy: processApp("sleepy", { regions: ["nrt", "ord"] }),
      slow: processApp("slow", { regions: ["nrt"], env: { BOOT_MS: "60000" }, wakeTimeout: "5m" }),
    },
  });
  const { control } = node.node;
  await eventually(
    () => ["world", "other"].every((name) => control.machines(name).every(({ state }) => state === "started")),
    "the machines",
  );
});

after(async () => {
  await Promise.all([other, ...Object.values(backends)].map((backend) => backend[Symbol.asyncDispose]()));
  await node[Symbol.asyncDispose]();
});

/** The machine in Amsterdam asks for a replay, unless the request has been one; the others answer with their names and what they got. */
async function script(order: string, more: { status?: string; body?: string; lines?: readonly string[] } = {}): Promise<void> {
  const replay = response(more.body ?? "nobody gets this", [`fly-replay: ${order}`, ...(more.lines ?? [])], more.status ?? "409 Conflict");
  const says =
    (name: string): Answer =>
    (request) =>
      response(`${name} ${request.method} ${request.target} ${request.body}`, [
        `src: ${request.all("fly-replay-src").join()}`,
        `failed: ${request.all("fly-replay-failed").join()}`,
        "fly-replay-src: leaked",
        "fly-replay-cache: /leaked",
      ]);
  await Promise.all([
    backends.ams.answers((request, connection) => {
      const isSecond = [...request.all("fly-replay-src"), ...request.all("fly-replay-failed")].length > 0;
      return isSecond ? says("ams")(request, connection) : replay;
    }),
    ...(["fra", "nrt", "ord"] as const).map(async (region) => await backends[region].answers(says(region))),
    other.answers(says("other")),
  ]);
}

async function send(text = "GET / HTTP/1.1\r\nhost: world.localhost\r\n\r\n"): Promise<Message> {
  using client = await RawClient.connect(node.httpPort);
  const answer = await client.send(text).response();
  for (const [name] of answer.fields) assert.ok(!name.startsWith("fly-replay"), `${name} reached the client`);
  assert.ok(!answer.raw.includes("nobody gets this"));
  return answer;
}

const outcome = ({ status, body, header }: { status: number; body: string; header: (name: string) => string | null }): string =>
  status === 200 ? body.split(" ")[0]! : header("kittiwake-error")!;
const outcomeOf = (message: Message): string =>
  outcome({ status: message.status, body: message.body, header: (name) => message.header(name) });

describe("4.1 fly-replay", () => {
  for (const [title, order, expected] of [
    ["region", "region=nrt", "nrt"],
    ["region, quoted", 'region="nrt"', "nrt"],
    ["regions, quoted, in order", 'region="syd,ord,nrt"', "ord"],
    ["regions without quotes", "region=syd,ord", "ord"],
    ["region, an alias", "region=apac", "nrt"],
    ["region, an alias among others", 'region="sa,us"', "ord"],
    ["regions, any as the last", 'region="syd,any";elsewhere=true', "fra"],
    ["no machine in the region is an error", "region=syd", "no_machine"],
    ["instance", "instance=world-ord", "ord"],
    ["instance that there is not", "instance=world-syd", "no_machine"],
    ["instance itself", "instance=world-ams", "ams"],
    ["prefer_instance", "prefer_instance=world-ord", "ord"],
    ["prefer_instance that there is not: the other fields", "prefer_instance=world-syd;region=nrt", "nrt"],
    ["prefer_instance that there is not: any", "prefer_instance=world-syd;elsewhere=true", "fra"],
    ["app", "app=other", "other"],
    ["app and region", "app=other;region=fra", "other"],
    ["app, and a region without its machines", "app=other;region=nrt", "no_machine"],
    ["instance inside the app", "app=other;instance=other-fra", "other"],
    ["instance of another app than named", "app=other;instance=world-ord", "no_machine"],
    ["app that there is not (PA04)", "app=unknown", "replay_target_not_found"],
    ["app with nothing on the same public port", "app=elsewhere", "replay_target_not_found"],
    ["elsewhere", "elsewhere=true", "fra"],
    ["elsewhere=false, which is to the nearest again", "elsewhere=false;region=any", "ams"],
    ["spaces and an end", " region = nrt ; state = x ; ", "nrt"],
    ["a target that cannot be reached", "app=broken", "connect_refused"],
    ["a target that cannot be reached, in a list", 'app=broken;region="fra,any"', "connect_refused"],
    ["timeout that is not needed", "region=nrt;timeout=10s", "nrt"],
    ["fallback that is not needed", "region=nrt;fallback=force_self", "nrt"],
    ["malformed: empty (PA03)", "", "replay_malformed"],
    ["malformed: no field", "nrt", "replay_malformed"],
    ["malformed: unknown field", "region=nrt;color=red", "replay_malformed"],
    ["malformed: a field twice", "region=nrt;region=ord", "replay_malformed"],
    ["malformed: fields apart by commas", "region=nrt,state=x", "replay_malformed"],
    ["malformed: an open quote", 'region="nrt', "replay_malformed"],
    ["malformed: behind a quote", 'region="nrt"x;state=y', "replay_malformed"],
    ["malformed: no region", "region=", "replay_malformed"],
    ["malformed: an empty place in the list", 'region="nrt,,ord"', "replay_malformed"],
    ["malformed: instance", "instance=a b", "replay_malformed"],
    ["malformed: both kinds of instance", "instance=a;prefer_instance=b", "replay_malformed"],
    ["malformed: elsewhere", "elsewhere=yes", "replay_malformed"],
    ["malformed: timeout", "region=nrt;timeout=10", "replay_malformed"],
    ["malformed: timeout of nothing", "region=nrt;timeout=0s", "replay_malformed"],
    ["malformed: fallback", "region=nrt;fallback=self", "replay_malformed"],
    ["malformed: nothing says where to", "state=x", "replay_malformed"],
  ] as const) {
    test(title, async () => {
      await script(order);
      assert.equal(outcomeOf(await send()), expected);
      assert.equal(backends.ams.requests.length, expected === "ams" ? 2 : 1);
    });
  }

  for (const status of ["200 OK", "204 No Content", "307 Temporary Redirect", "404 Not Found", "421 Misdirected Request", "500 Oops"]) {
    test(`any status: ${status}`, async () => {
      await script("region=nrt", { status, lines: ["location: /elsewhere"] });
      assert.equal(outcomeOf(await send()), "nrt");
    });
  }

  test("a large body of the answer is not waited for, a small one leaves its connection fit for more", async () => {
    await script("region=nrt", { body: "x".repeat(200_000) });
    assert.equal(outcomeOf(await send()), "nrt");
    await script("region=nrt");
    for (let i = 0; i < 3; i++) assert.equal(outcomeOf(await send()), "nrt");
    assert.equal(backends.ams.connections.length, 1);
    for (const region of REGIONS) assert.equal(node.node.control.inFlight(`world-${region}`), 0);
  });

  test("a stopped target is started, and no other", async () => {
    await script(`app=sleepy;instance=${machineOf(node, "sleepy", "ord").id}`);
    const answer = await send();
    assert.equal((JSON.parse(answer.body) as { region: string }).region, "ord");
    assert.notEqual(machineOf(node, "sleepy", "nrt").state, "started");
  });

  test("a WebSocket's request is replayed, and its tunnel stands with the target", async () => {
    await script("region=nrt");
    await backends.nrt.answers((request) => {
      assert.equal(request.header("upgrade"), "websocket");
      return "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\nhello";
    });
    using client = await RawClient.connect(node.httpPort);
    client.send("GET / HTTP/1.1\r\nhost: world.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n");
    assert.match(await client.until((text) => text.endsWith("hello")), /^HTTP\/1\.1 101 /);
  });

  test("2.7 ten replays, and not one more (PA02)", async () => {
    await script("region=nrt");
    const again = (count: number): Answer => {
      let left = count;
      return () => (left-- > 0 ? response("", ["fly-replay: instance=world-ams"]) : response("done "));
    };
    await backends.ams.answers(again(10));
    assert.equal(outcomeOf(await send()), "done");
    assert.equal(backends.ams.requests.length, 11);
    await backends.ams.answers(again(11));
    assert.equal(outcomeOf(await send()), "replay_loop");
    assert.equal(backends.ams.requests.length, 11);
  });

  test("the client's connection goes on after a replay and after an error", async () => {
    await script("region=nrt");
    using client = await RawClient.connect(node.httpPort);
    const get = "GET / HTTP/1.1\r\nhost: world.localhost\r\n\r\n";
    assert.equal(outcomeOf(await client.send(get).response()), "nrt");
    await script("nonsense");
    assert.equal(outcomeOf(await client.send(get).response()), "replay_malformed");
    await script("region=ord");
    assert.equal(outcomeOf(await client.send(get).response()), "ord");
  });
});

describe("4.4 fly-replay-src", () => {
  for (const [order, state] of [
    ["region=nrt", null],
    ["region=nrt;state=captured_write", "captured_write"],
    ['region=nrt;state="a, b=c"', "a, b=c"],
  ] as const) {
    test(`of ${order}`, async () => {
      await script(order);
      const src = (await send("GET / HTTP/1.1\r\nhost: world.localhost\r\nfly-replay-src: forged\r\n\r\n")).header("src")!;
      // The way that apps read it.
      assert.deepEqual(src.split(";").slice(0, 2), ["instance=world-ams", "region=ams"]);
      assert.equal(/state=([^;]*)/.exec(src)?.[1] ?? null, state);
      const seconds = Number(/;t=(\d{16})(;|$)/.exec(src)![1]) / 1e6;
      assert.ok(Math.abs(seconds - Date.now() / 1000) < 60);
    });
  }
});

describe("2.7 bodies", () => {
  for (const [title, bytes] of [
    ["held whole", 50],
    ["kept while it streams", 4000],
  ] as const) {
    test(`one that is ${title} is sent again`, async () => {
      await script("region=nrt");
      const body = "x".repeat(bytes);
      const answer = await send(`POST /p?q HTTP/1.1\r\nhost: world.localhost\r\ncontent-length: ${bytes}\r\n\r\n${body}`);
      assert.equal(answer.body, `nrt POST /p?q ${body}`);
    });
  }

  test("a chunked one is sent again, with what comes after the replay and its trailers", async () => {
    await script("region=nrt");
    await backends.ams.answers(() => null);
    using client = await RawClient.connect(node.httpPort);
    client.send("POST / HTTP/1.1\r\nhost: world.localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    const first = await backends.ams.connection();
    await first.until((text) => text.includes("abc"));
    first.send(response("", ["fly-replay: region=nrt"]));
    const second = await backends.nrt.connection();
    await second.until((text) => text.includes("abc"));
    client.send("3\r\ndef\r\n0\r\nx-sum: 6\r\n\r\n");
    assert.equal((await client.response()).body, "nrt POST / abcdef");
    assert.deepEqual((await backends.nrt.request()).trailers, ["x-sum: 6"]);
  });

  test("one that is longer than what is kept is an error (PA01)", async () => {
    await script("region=nrt");
    const answer = await send(`POST / HTTP/1.1\r\nhost: world.localhost\r\ncontent-length: 6000\r\n\r\n${"x".repeat(6000)}`);
    assert.equal(outcomeOf(answer), "replay_body_lost");
    assert.equal(backends.nrt.requests.length, 0);
  });

  test("one that the client has not begun to send is no obstacle, however long", async () => {
    await script("region=nrt");
    await backends.ams.answers(() => null);
    using client = await RawClient.connect(node.httpPort);
    client.send("PUT / HTTP/1.1\r\nhost: world.localhost\r\ncontent-length: 6000\r\nexpect: 100-continue\r\n\r\n");
    const first = await backends.ams.connection();
    await first.until((text) => text.endsWith("\r\n\r\n"));
    first.send(response("", ["fly-replay: region=nrt"]));
    await backends.nrt.connection();
    client.send("y".repeat(6000));
    assert.equal((await client.response()).body, `nrt PUT / ${"y".repeat(6000)}`);
  });
});

describe("4.2 fallback", () => {
  for (const [title, order, expected, failed] of [
    [
      "no candidate, force_self",
      "region=syd;fallback=force_self",
      "ams",
      "app=world;region=syd;replay_source=world-ams;reason=no_candidate",
    ],
    [
      "no candidate, prefer_self",
      'region="syd,gru";fallback=prefer_self',
      "ams",
      "app=world;region=syd,gru;replay_source=world-ams;reason=no_candidate",
    ],
    ["retries exhausted", "app=broken;fallback=force_self", "ams", "app=broken;replay_source=world-ams;reason=retries_exhausted"],
    ["an instance", "instance=x;fallback=force_self", "ams", "instance=x;app=world;replay_source=world-ams;reason=no_candidate"],
    ["what is malformed does not fall back", "region=;fallback=force_self", "replay_malformed", null],
    ["an app that there is not does not fall back", "app=unknown;fallback=force_self", "replay_target_not_found", null],
  ] as const) {
    test(title, async () => {
      await script(order);
      const answer = await send();
      assert.equal(outcomeOf(answer), expected);
      if (failed === null) return;
      const [, said, ms] = /^(.*);elapsed_ms=(\d+)$/.exec(answer.header("failed")!)!;
      assert.equal(said, failed);
      assert.ok(Number(ms) < 60_000);
      assert.equal(answer.header("src"), "", "it is no replay");
    });
  }

  test("an error of the target does not fall back: it was reached", async () => {
    await script("region=nrt;fallback=force_self");
    await backends.nrt.answers(() => response("", [], "500 Oops"));
    assert.equal((await send()).status, 500);
    await backends.nrt.answers((_, connection) => {
      connection.socket.destroy();
      return null;
    });
    const answer = await send("POST / HTTP/1.1\r\nhost: world.localhost\r\ncontent-length: 1\r\n\r\nx");
    assert.match(answer.header("kittiwake-error")!, /^upstream_(closed|reset)$/);
    assert.equal(backends.ams.requests.length, 2);
  });

  test("who is fallen back to cannot ask for another replay", async () => {
    await script("region=syd;fallback=force_self");
    await backends.ams.answers(() => response("", ["fly-replay: region=syd;fallback=force_self"]));
    assert.equal(outcomeOf(await send()), "replay_loop");
    assert.equal(backends.ams.requests.length, 2);
  });

  for (const [fallback, expected] of [
    [";fallback=force_self", "ams"],
    [";fallback=prefer_self", "ams"],
    ["", "replay_timeout"],
  ] as const) {
    test(`timeout while the target wakes${fallback}`, async () => {
      await script(`app=slow;timeout=100s${fallback}`);
      const sent = send();
      await eventually(async () => {
        await node.node.control.metrics();
        return node.node.control.status().waiting === 1;
      }, "the replay at the gate");
      const answer = await node.endsAfter(100_000, sent);
      assert.equal(outcomeOf(answer), expected);
      if (expected === "ams") assert.match(answer.header("failed")!, /^app=slow;replay_source=world-ams;reason=timeout;elapsed_ms=\d+$/);
      assert.equal(node.node.control.inFlight("world-ams"), 0);
    });
  }

  test("a client that leaves while the target wakes leaves nothing behind, the timeout neither", async () => {
    await script("app=slow;timeout=100s;fallback=force_self");
    const { control } = node.node;
    const waiting = async (): Promise<number> => {
      await control.metrics();
      return control.status().waiting;
    };
    const client = await RawClient.connect(node.httpPort);
    client.send("GET / HTTP/1.1\r\nhost: world.localhost\r\n\r\n");
    await eventually(async () => (await waiting()) === 1, "the replay at the gate");
    client.reset();
    await eventually(async () => (await waiting()) === 0, "the gate to let go of it");
    await node.passTime(200_000);
    assert.equal(backends.ams.requests.length, 1);
    assert.equal(control.inFlight("world-ams"), 0);
  });
});
