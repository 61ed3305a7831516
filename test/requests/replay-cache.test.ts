// Replays that the edge remembers: by path, as machines ask for it, and by session, as an app's configuration does. Reference sections
// 4.3 to 4.6.

import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { machineOf } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { RawClient } from "../support/raw-client.ts";
import { ScriptedBackend } from "../support/scripted-backend.ts";
import { testSessions } from "./replay-cache/sessions.ts";
import { app, ReplayWorld, told, TTL, VERSIONS } from "./replay-cache/world.ts";

let world: ReplayWorld;

before(async () => {
  world = await ReplayWorld.start();
});

after(async () => await world[Symbol.asyncDispose]());

beforeEach(() => world.begin());

describe("reference 4.5 the scope of fly-replay-cache", () => {
  for (const [scope, first, second, isHit, host = "world.localhost"] of [
    ["BASE/*", "BASE/a", "BASE/a", true],
    ["BASE/*", "BASE/a", "BASE/b/c?d", true],
    ["BASE/*", "BASE/a", "BASE", true],
    ["BASE", "BASE/a", "BASE/b", true],
    ["BASE/", "BASE?x", "BASE?y", true],
    ["BASE/a/*", "BASE/a", "BASE/b", false],
    ["BASE/a/*", "BASE/a/b", "BASE/ab", false],
    ["BASE/a/*", "BASE/a/b", "BASE", false],
    ["BASE/a/*", "BASE/a/b", "BASE/A/b", false],
    ["world.localhostBASE/*", "BASE/a", "BASE/b", true],
    ["World.LOCALHOST.BASE/*", "BASE/a", "BASE/b", true],
    ["world.example.comBASE/*", "BASE/a", "BASE/a", false],
    ["world.localhost:80BASE/*", "BASE/a", "BASE/a", false],
    ["https://world.localhostBASE/*", "BASE/a", "BASE/a", false],
    ["other.localhostBASE/*", "BASE/a", "BASE/a", false],
    ["/elsewhere/*", "BASE/a", "BASE/a", false],
    ["BASE/a/b/*", "BASE/a", "BASE/a/b", false],
    ["BASE*", "BASE/a", "BASE/a", false],
    ["", "BASE/a", "BASE/a", false],
    ["BASE/*, BASE/*", "BASE/a", "BASE/a", false],
    ["BASE/*", "BASE/a", "BASE/a", false, "world.example.com"],
    ["BASE/*", "BASE/a", "BASE/a/../b", false],
    ["BASE/*", "BASE/a", "BASE/a/%2e%2e/b", false],
    ["BASE/*", "BASE/a", "BASE//a", false],
    ["BASE/*", "BASE/../x", "BASE/x", false],
  ] as const) {
    for (const version of VERSIONS) {
      test(`${scope}, asked at ${first}, then ${second}${host === "world.localhost" ? "" : ` of ${host}`}, over ${version}`, async () => {
        const at = (text: string): string => text.replaceAll("BASE", world.base);
        world.sendsTo("region=nrt", [`fly-replay-cache: ${at(scope)}`, TTL]);
        assert.equal(told(await world.send(at(first), {}, version)), "nrt miss");
        assert.equal(told(await world.send(at(second), { host }, version)), isHit ? "nrt hit" : "nrt miss");
        assert.equal(world.asked("ams"), isHit ? 1 : 2);
      });
    }
  }

  test("is a host's by itself where a wildcard stands for many", async () => {
    world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, TTL]);
    assert.equal(told(await world.send(world.base, { host: "a.wild.example.com" })), "nrt miss");
    assert.equal(told(await world.send(world.base, { host: "b.wild.example.com" })), "nrt miss");
    assert.equal(told(await world.send(world.base, { host: "a.wild.example.com" })), "nrt hit");
  });

  test("the longest that there is counts", async () => {
    world.orders["ams"] = ({ target }) =>
      target === `${world.base}/a/b`
        ? ["fly-replay: region=ord", `fly-replay-cache: ${world.base}/a/b/*`, TTL]
        : ["fly-replay: region=nrt", `fly-replay-cache: ${target}/*`, TTL];
    assert.equal(told(await world.send(`${world.base}/a/b`)), "ord miss");
    assert.equal(told(await world.send(`${world.base}/a`)), "nrt miss");
    assert.equal(told(await world.send(`${world.base}/a/b/c`)), "ord hit");
    assert.equal(told(await world.send(`${world.base}/a/c`)), "nrt hit");
  });
});

describe("reference 4.5 what is remembered", () => {
  for (const [title, order, lines, expected] of [
    ["ten seconds", "region=nrt", ["fly-replay-cache-ttl-secs: 10"], "nrt hit"],
    ["below ten seconds", "region=nrt", ["fly-replay-cache-ttl-secs: 9"], "nrt miss"],
    ["no time", "region=nrt", [], "nrt miss"],
    ["a time that is none", "region=nrt", ["fly-replay-cache-ttl-secs: 60s"], "nrt miss"],
    ["a time twice", "region=nrt", [TTL, TTL], "nrt miss"],
    ["an instance", "instance=world-ord", [TTL], "ord hit"],
    ["a preferred instance that there is not", "prefer_instance=x;region=ord", [TTL], "ord hit"],
    ["elsewhere", "elsewhere=true;region=any", [TTL], "ord hit"],
    ["another app", "app=other", [TTL], "other hit"],
    ["with a state", "region=nrt;state=x", [TTL], "nrt miss"],
    ["with a timeout", "region=nrt;timeout=10s", [TTL], "nrt miss"],
    ["with a fallback", "region=nrt;fallback=prefer_self", [TTL], "nrt miss"],
  ] as const) {
    for (const version of VERSIONS) {
      test(`${title}, over ${version}`, async () => {
        world.sendsTo(order, [`fly-replay-cache: ${world.base}/*`, ...lines]);
        const first = await world.send(world.base, {}, version);
        assert.equal(told(first), `${first.by} miss`);
        assert.match(first.src!, /^instance=world-ams;region=ams;t=\d+/);
        const second = await world.send(world.base, {}, version);
        assert.equal(told(second), expected);
        assert.equal(second.src === null, expected.endsWith("hit"), "fly-replay-src is for what was asked for");
        assert.equal(world.asked("ams"), expected.endsWith("hit") ? 1 : 2);
      });
    }
  }

  test("nothing without fly-replay-cache, and nothing without fly-replay", async () => {
    world.sendsTo("region=nrt", [TTL]);
    assert.equal(told(await world.send(world.base)), "nrt miss");
    assert.equal(told(await world.send(world.base)), "nrt miss");
    world.orders["ams"] = (): readonly string[] => [`fly-replay-cache: ${world.base}/*`, TTL];
    using client = await RawClient.connect(world.node.httpPort);
    assert.equal((await client.send(`GET ${world.base} HTTP/1.1\r\nhost: world.localhost\r\n\r\n`).response()).status, 307);
    world.orders = {};
    assert.equal(told(await world.send(world.base)), "ams");
  });

  test("for its time, by the clock of the data plane", async () => {
    world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, TTL]);
    assert.equal(told(await world.send(world.base)), "nrt miss");
    await world.node.passTime(55_000);
    assert.equal(told(await world.send(world.base)), "nrt hit");
    await world.node.passTime(6_000);
    assert.equal(told(await world.send(world.base)), "nrt miss");
    assert.equal(world.asked("ams"), 2);
  });

  test("the newest order for a scope counts", async () => {
    world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, "fly-replay-cache-allow-bypass: yes", TTL]);
    await world.send(world.base);
    world.sendsTo("region=ord", [`fly-replay-cache: ${world.base}/*`, TTL]);
    assert.equal(told(await world.send(world.base, { lines: ["fly-replay-cache-control: skip"] })), "ord bypass");
    assert.equal(told(await world.send(world.base)), "ord hit");
  });

  test("a request with a body goes there with it, and so does one for a WebSocket", async () => {
    world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    for (const version of VERSIONS) assert.equal((await world.send(world.base, { body: "abc" }, version)).body, "abc");
    using client = await RawClient.connect(world.node.httpPort);
    client.send(
      `GET ${world.base} HTTP/1.1\r\nhost: world.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n`,
    );
    assert.match(await client.until((text) => text.endsWith("hello")), /^HTTP\/1\.1 101 /);
    assert.equal(world.asked("ams"), 1);
  });
});

describe("reference 4.5 fly-replay-cache-control", () => {
  for (const [title, allows, lines, expected] of [
    ["skip, where the entry allows it", ["fly-replay-cache-allow-bypass: yes"], ["fly-replay-cache-control: skip"], "nrt bypass"],
    ["skip in any case", ["fly-replay-cache-allow-bypass: yes"], ["Fly-Replay-Cache-Control: Skip"], "nrt bypass"],
    ["skip, where nothing is said of it", [], ["fly-replay-cache-control: skip"], "nrt hit"],
    ["skip, where the entry does not allow it", ["fly-replay-cache-allow-bypass: no"], ["fly-replay-cache-control: skip"], "nrt hit"],
    ["something else", ["fly-replay-cache-allow-bypass: yes"], ["fly-replay-cache-control: no-cache"], "nrt hit"],
    ["nothing", ["fly-replay-cache-allow-bypass: yes"], [], "nrt hit"],
  ] as const) {
    for (const version of VERSIONS) {
      test(`${title}, over ${version}`, async () => {
        world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, ...allows, TTL]);
        assert.equal(
          told(await world.send(world.base, { lines: ["fly-replay-cache-control: skip"] }, version)),
          "nrt miss",
          "nothing is there to skip",
        );
        const asks = lines.map((line) => (version === "HTTP/2" ? line.replace(/^[^:]+/, (name) => name.toLowerCase()) : line));
        assert.equal(told(await world.send(world.base, { lines: asks }, version)), expected);
        assert.equal(told(await world.send(world.base, {}, version)), "nrt hit", "it is as it was for others");
      });
    }
  }

  test("skip, and the app answers by itself: it is direct", async () => {
    world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, "fly-replay-cache-allow-bypass: yes", TTL]);
    await world.send(world.base);
    world.orders = {};
    assert.equal(told(await world.send(world.base, { lines: ["fly-replay-cache-control: skip"] })), "ams");
    assert.equal(told(await world.send(world.base)), "nrt hit");
  });
});

describe("reference 4.5 what the edge alone says", () => {
  const forged = ["status", "ttl-secs", "allow-bypass"].map((name) => `fly-replay-cache-${name}: hit`);
  for (const version of VERSIONS) {
    test(`is taken from no client, and a request that is not replayed has none of it, over ${version}`, async () => {
      const lines = [...forged, "fly-replay-cache: /*", "fly-replay: region=nrt", "fly-replay-cache-control: skip"];
      const { by, names } = await world.send(world.base, { lines }, version);
      assert.equal(by, "ams");
      assert.deepEqual(
        names.filter((name) => name.startsWith("fly-replay")),
        ["fly-replay-cache-control"],
      );
      world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, TTL]);
      assert.equal(told(await world.send(world.base, { lines }, version)), "nrt miss");
      assert.equal(told(await world.send(world.base, { lines }, version)), "nrt hit");
    });
  }
});

describe("reference 4.5 who has a say", () => {
  test("not an app that the request was handed to: neither for its own host nor for the client's", async () => {
    world.sendsTo("app=other", []);
    for (const scope of [`${world.base}/*`, `world.localhost${world.base}/*`, `other.localhost${world.base}/*`]) {
      world.orders["other"] = () => ["fly-replay: app=third", `fly-replay-cache: ${scope}`, TTL];
      assert.equal(told(await world.send(world.base)), "third miss");
      assert.equal(told(await world.send(world.base)), "third miss");
    }
    world.orders = {};
    assert.equal(told(await world.send(world.base)), "ams");
    assert.equal(told(await world.send(world.base, { host: "other.localhost" })), "other");
  });

  test("nor one that it was handed to by what is remembered: that is looked at once for a request, and stays as it is", async () => {
    world.sendsTo("app=other", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    world.orders["other"] = ({ target }) =>
      target === world.base ? ["fly-replay: app=third", `fly-replay-cache: ${world.base}/*`, TTL] : null;
    const { by, src, status } = await world.send(world.base);
    assert.equal(`${by} ${status}`, "third miss");
    assert.match(src!, /^instance=other-fra;/);
    assert.equal(told(await world.send(`${world.base}/a`)), "other hit");
    assert.equal(world.asked("ams"), 1);
  });

  test("two apps with one path and their own hosts have nothing to do with each other", async () => {
    world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    assert.equal(told(await world.send(world.base, { host: "other.localhost" })), "other");
    world.orders["other"] = () => ["fly-replay: app=third", `fly-replay-cache: ${world.base}/*`, TTL];
    assert.equal(told(await world.send(world.base, { host: "other.localhost" })), "third miss");
    assert.equal(told(await world.send(world.base)), "nrt hit");
    assert.equal(told(await world.send(world.base, { host: "other.localhost" })), "third hit");
  });

  test("the app that it leads to: its rules for clients hold, and its limit on bodies", async () => {
    for (const [name, code] of [
      ["guarded", "access_denied"],
      ["locked", "client_certificate_required"],
    ] as const) {
      const asked = world.asked("ams");
      world.sendsTo(`app=${name}`, [`fly-replay-cache: ${world.base}/${name}/*`, TTL]);
      for (let i = 0; i < 2; i++) assert.equal((await world.send(`${world.base}/${name}`)).by, code);
      assert.equal(world.asked("ams"), asked + 1, "who may not go there is refused, and asks nobody");
    }
    world.sendsTo("app=short", [`fly-replay-cache: ${world.base}/short/*`, TTL]);
    assert.equal(told(await world.send(`${world.base}/short`)), "short miss");
    assert.equal(told(await world.send(`${world.base}/short`, { body: "abc" })), "short hit");
    assert.equal((await world.send(`${world.base}/short`, { body: "abcd" })).by, "body_too_large");
  });
});

test("reference 4.8 a client does not stick to where a remembered replay led its request", async () => {
  world.orders["ams"] = ({ target }) => (target === "/" ? null : ["fly-replay: region=nrt", `fly-replay-cache: ${world.base}/*`, TTL]);
  using client = await RawClient.connect(world.node.httpPort);
  const cookie = async (target: string): Promise<string | null> =>
    (await client.send(`GET ${target} HTTP/1.1\r\nhost: kept.localhost\r\n\r\n`).response()).header("set-cookie");
  assert.notEqual(await cookie("/"), null);
  for (let i = 0; i < 3; i++) assert.equal(await cookie(world.base), null);
  assert.equal(world.asked("ams"), 1);
});

describe("reference 4.5 fly-replay-cache: invalidate", () => {
  for (const version of VERSIONS) {
    test(`of the target, back to the app: it is asked again from then on, over ${version}`, async () => {
      world.sendsTo("app=other", [`fly-replay-cache: ${world.base}/*`, TTL]);
      await world.send(world.base, {}, version);
      assert.equal(told(await world.send(world.base, {}, version)), "other hit");
      world.orders["ams"] = () => null;
      world.orders["other"] = () => ["fly-replay: app=world", "fly-replay-cache: invalidate"];
      const { src, ...back } = await world.send(world.base, {}, version);
      assert.equal(told({ src, ...back }), "ams miss");
      assert.match(src!, /^instance=other-fra;/);
      world.orders = {};
      assert.equal(told(await world.send(world.base, {}, version)), "ams");
    });
  }

  test("and the app may send it elsewhere, and have that remembered", async () => {
    world.sendsTo("app=other", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    world.sendsTo("app=third", [`fly-replay-cache: ${world.base}/*`, TTL]);
    world.orders["other"] = () => ["fly-replay: app=world", "fly-replay-cache: invalidate"];
    assert.equal(told(await world.send(world.base)), "third miss");
    assert.equal(told(await world.send(world.base)), "third hit");
  });

  test("of another machine of the app, which knows better", async () => {
    world.sendsTo("instance=world-nrt", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    world.orders = { nrt: () => ["fly-replay: instance=world-ord", "fly-replay-cache: invalidate"] };
    assert.equal(told(await world.send(world.base)), "ord miss");
    world.orders = {};
    assert.equal(told(await world.send(world.base)), "ams");
  });

  test("with a replay to another app it is nothing", async () => {
    world.sendsTo("app=other", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    world.orders["other"] = () => ["fly-replay: app=third", "fly-replay-cache: invalidate"];
    assert.equal(told(await world.send(world.base)), "third miss");
    world.orders = {};
    assert.equal(told(await world.send(world.base)), "other hit");
  });

  test("takes away what the request came by, and nothing above or beside it", async () => {
    world.sendsTo("app=other", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    world.sendsTo("app=third", [`fly-replay-cache: ${world.base}/a/*`, "fly-replay-cache-allow-bypass: yes", TTL]);
    world.orders["other"] = ({ target }) => (target === `${world.base}/a` ? ["fly-replay: app=world"] : null);
    assert.equal(told(await world.send(`${world.base}/a`)), "third miss");
    world.orders = { third: () => ["fly-replay: app=world", "fly-replay-cache: invalidate"] };
    assert.equal(told(await world.send(`${world.base}/a`)), "ams miss");
    world.orders = {};
    assert.equal(told(await world.send(`${world.base}/a`)), "other hit");
  });
});

describe("reference 4.5 a target that cannot serve", () => {
  for (const [title, order, gone] of [
    ["an app that there is not any more", "app=leaving", true],
    ["a machine that there is not", "instance=world-syd", false],
    ["a region without machines", "region=syd", false],
    ["a machine that cannot be reached", "app=dead", false],
  ] as const) {
    test(`${title}: it is forgotten, and its app has the request as if nothing had been`, async () => {
      world.sendsTo(order, [`fly-replay-cache: ${world.base}/*`, "fly-replay-cache-allow-bypass: yes", TTL]);
      if (gone) {
        world.node.writeApp("leaving", app("leaving", { fra: world.backends.get("third")!.port }));
        await world.node.node.control.reload();
        await eventually(() => world.node.node.control.machines("leaving").some(({ state }) => state === "started"), "the app");
        assert.equal(told(await world.send(world.base)), "third miss");
        assert.equal(told(await world.send(world.base)), "third hit");
        rmSync(join(world.node.dir, "apps", "leaving.toml"));
        await world.node.node.control.reload();
      } else assert.match((await world.send(world.base)).by, /^(no_machine|connect_refused)$/);
      world.orders = {};
      const preferred = { lines: ["fly-prefer-instance-id: world-ord"] };
      const { names, body, ...direct } = await world.send(world.base, { ...preferred, body: "abc" });
      assert.deepEqual(direct, { by: "ord", status: null, src: null });
      assert.equal(body, "abc");
      assert.ok(!names.some((name) => name.startsWith("fly-replay") || name === "fly-preferred-instance-unavailable"));
      assert.equal(told(await world.send(world.base)), "ams");
    });
  }

  test("one that answers with an error, or breaks off, has served", async () => {
    world.sendsTo("app=other", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    world.orders["other"] = (): null => null;
    const before = world.asked("ams");
    world.backends.get("other")!.continuesWith((_, connection) => {
      connection.socket.destroy();
      return null;
    });
    assert.match((await world.send(world.base, { body: "x" })).by, /^upstream_(closed|reset)$/);
    assert.equal(world.asked("ams"), before);
    world.backends.get("other")!.continuesWith(world.answerOf("other"));
    assert.equal(told(await world.send(world.base)), "other hit");
  });

  test("one that has gone while a connection to it rested has not", async () => {
    let requests = 0;
    const leaving = await ScriptedBackend.start((request, connection) => {
      if (++requests < 3) return world.answerOf("leaving")(request, connection);
      void leaving[Symbol.asyncDispose]();
      connection.socket.destroy();
      return null;
    });
    world.node.writeApp("resting", app("resting", { fra: leaving.port }));
    await world.node.node.control.reload();
    await eventually(() => world.node.node.control.machines("resting").some(({ state }) => state === "started"), "the app");
    world.sendsTo("app=resting", [`fly-replay-cache: ${world.base}/*`, TTL]);
    assert.equal(told(await world.send(world.base)), "leaving miss");
    assert.equal(told(await world.send(world.base)), "leaving hit");
    world.orders = {};
    assert.equal(told(await world.send(world.base)), "ams");
    assert.equal(requests, 3);
    assert.equal(leaving.connections.length, 1);
  });

  test("the origin is not woken for what is remembered", async () => {
    const host = "sleepy.localhost";
    const target = "/headers?fly-replay=app%3Dother&fly-replay-cache=%2F*&fly-replay-cache-ttl-secs=60";
    assert.equal(told(await world.send(target, { host })), "other miss");
    const { control } = world.node.node;
    await control.stop("sleepy", machineOf(world.node, "sleepy", "ams").id);
    assert.equal(told(await world.send(target, { host })), "other hit");
    assert.equal(machineOf(world.node, "sleepy", "ams").state, "stopped");
  });

  test("a target that sleeps is woken", async () => {
    assert.equal(machineOf(world.node, "sleepy", "ams").state, "stopped");
    world.sendsTo("app=sleepy", [`fly-replay-cache: ${world.base}/*`, TTL]);
    await world.send(world.base);
    await world.node.node.control.stop("sleepy", machineOf(world.node, "sleepy", "ams").id);
    await world.send(world.base);
    assert.equal(machineOf(world.node, "sleepy", "ams").state, "started");
    assert.equal(world.asked("ams"), 1);
  });
});

testSessions(() => world);

test("reference 4.5 what is remembered is bounded: who was not asked for longest goes, the other kind stays", async () => {
  const session = [`cookie: sid=${world.base}`];
  world.orders["session"] = () => ["fly-replay: instance=session-fra"];
  await world.send("/", { host: "session.localhost", lines: session });
  world.orders["ams"] = ({ target }) => ["fly-replay: region=nrt", `fly-replay-cache: ${target}/*`, TTL];
  for (let i = 0; i < 41; i++) assert.equal(told(await world.send(`${world.base}/${i}`)), "nrt miss");
  for (let i = 40; i > 0; i--) assert.equal(told(await world.send(`${world.base}/${i}`)), "nrt hit", `${i}`);
  assert.equal(told(await world.send(`${world.base}/0`)), "nrt miss");
  assert.equal(told(await world.send(`${world.base}/1`)), "nrt hit");
  assert.equal(told(await world.send(`${world.base}/40`)), "nrt miss");
  world.orders = {};
  assert.equal(told(await world.send("/", { host: "session.localhost", lines: session })), "east hit");
});

test("what was remembered and what went by it is counted", async () => {
  const counted = async (name: string): Promise<number> => {
    const { text } = await world.node.node.control.metrics();
    return Number(new RegExp(`^kittiwake_replay_cache_${name}_total\\{[^}]*app="world"[^}]*\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  };
  const [hits, misses] = [await counted("hits"), await counted("misses")];
  world.sendsTo("region=nrt", [`fly-replay-cache: ${world.base}/*`, TTL]);
  for (let i = 0; i < 4; i++) await world.send(world.base);
  assert.deepEqual([(await counted("hits")) - hits, (await counted("misses")) - misses], [3, 1]);
});

test("what tells sessions apart is in no log, and what is not remembered is said once a minute for each reason", async () => {
  const secret = "s3cr3t-of-the-session";
  world.orders["session"] = () => ["fly-replay: instance=session-fra;state=x"];
  for (let i = 0; i < 3; i++) await world.send("/", { host: "session.localhost", lines: [`cookie: sid=${secret}`] });
  await world.node.settle();
  const isSaid = (): boolean => log().includes("not remembered");
  await eventually(isSaid, "the log");
  const said = log()
    .split("\n")
    .filter((line) => line.includes("not remembered"))
    .map((line) => JSON.parse(line) as { app: string; reason: string });
  const keys = said.map(({ app: name, reason }) => `${name} ${reason}`);
  assert.equal(new Set(keys).size, keys.length);
  for (const key of ["world ttl", "world scope", "world order", "world app", "session order"]) assert.ok(keys.includes(key), key);
  assert.ok(!log().includes(secret));
});

function log(): string {
  return readFileSync(join(world.node.dir, "node.log"), "utf8");
}
