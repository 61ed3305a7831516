// Sessions whose replays are remembered, as an app's configuration asks for it. Reference section 4.6.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { told, TTL, VERSIONS, type ReplayWorld } from "./world.ts";

export function testSessions(get: () => ReplayWorld): void {
  describe("reference 4.6 the session cache", () => {
    let world: ReplayWorld;
    beforeEach(() => void (world = get()));
    const host = "session.localhost";
    /** The machine in Amsterdam sends it to the one in this region. */
    const to = (region: string): void => void (world.orders["session"] = () => [`fly-replay: instance=session-${region}`]);

    for (const [title, target, first, second, expected] of [
      ["a cookie: the same again", "/a", "cookie: sid=BASE", "cookie: sid=BASE", "east hit"],
      ["a cookie: another one", "/a", "cookie: sid=BASE", "cookie: sid=BASEx", "west miss"],
      ["a cookie: none", "/a", "cookie: sid=BASE", "x: y", "west miss"],
      ["a cookie: none at first", "/a", "x: y", "x: y", "west miss"],
      ["a cookie: empty", "/a", "cookie: sid=", "cookie: sid=", "west miss"],
      ["a cookie: its name in another case", "/a", "cookie: sid=BASE", "cookie: SID=BASE", "west miss"],
      ["a cookie: another name with the same end", "/a", "cookie: sid=BASE", "cookie: xsid=BASE", "west miss"],
      ["a cookie: among others", "/a", "cookie: a=b; sid=BASE;c=d", "cookie: sid=BASE", "east hit"],
      ["a cookie: in quotes", "/a", 'cookie: sid="BASE"', "cookie: sid=BASE", "east hit"],
      ["a cookie: the first of two", "/a", "cookie: sid=BASE; sid=x", "cookie: sid=BASE; sid=y", "east hit"],
      ["a cookie: over two fields", "/a", "cookie: a=b\ncookie: sid=BASE", "cookie: sid=BASE\ncookie: c=d", "east hit"],
      ["a cookie: with an equals sign in it", "/a", "cookie: sid=BASE=x", "cookie: sid=BASE=y", "west miss"],
      ["a header: the same again", "/header/x", "x-session: BASE", "x-session: BASE", "east hit"],
      ["a header: another one", "/header/x", "x-session: BASE", "x-session: BASEx", "west miss"],
      ["a header: over two fields", "/header/x", "x-session: BASE\nx-session: 2", "x-session: BASE\nx-session: 2", "east hit"],
      ["a header: none", "/header/x", "x-session: BASE", "cookie: sid=BASE", "west miss"],
      ["a header: empty", "/header/x", "x-session: ", "x-session: ", "west miss"],
      ["a header where the path has a cookie", "/headers", "x-session: BASE", "x-session: BASE", "west miss"],
      ["the longest path counts", "/header/deep", "cookie: deep=BASE", "cookie: deep=BASE", "east hit"],
      [
        "the longest path counts, also where the request has only what another one wants",
        "/header/deep",
        "x-session: BASE",
        "x-session: BASE",
        "west miss",
      ],
      ["a host's rule before that of all, for that host", "/header/x", "cookie: alt=BASE", "cookie: alt=BASE", "west miss"],
    ] as const) {
      for (const version of VERSIONS) {
        test(`${title}, over ${version}`, async () => {
          const lines = (text: string): string[] => text.replaceAll("BASE", world.base.slice(1) + version).split("\n");
          to("fra");
          assert.equal(told(await world.send(target, { host, lines: lines(first) }, version)), "east miss");
          to("nrt");
          assert.equal(told(await world.send(target, { host, lines: lines(second) }, version)), expected);
        });
      }
    }

    test("a host's rule before that of all: of that host", async () => {
      const lines = [`cookie: alt=${world.base}`];
      for (const [region, expected] of [
        ["fra", "east miss"],
        ["nrt", "east hit"],
      ] as const) {
        to(region);
        assert.equal(told(await world.send("/header/x", { host: "alt.example.com", lines })), expected);
      }
    });

    test("below its path all requests of a session go one way, whatever their path, and those of another host by themselves", async () => {
      const lines = [`cookie: sid=${world.base}`];
      to("fra");
      await world.send("/one?x", { host, lines });
      to("nrt");
      assert.equal(told(await world.send("/two/three", { host, lines })), "east hit");
      assert.equal(told(await world.send("/", { host, lines })), "east hit");
      assert.equal(told(await world.send("/", { host: "alt.example.com", lines })), "west miss");
      assert.equal(told(await world.send("/", { host: "alt.example.com", lines })), "west hit");
      assert.equal(told(await world.send("/", { host, lines })), "east hit");
    });

    test("a request that is not replayed leaves nothing", async () => {
      const lines = [`cookie: sid=${world.base}`];
      for (let i = 0; i < 2; i++) assert.equal(told(await world.send("/", { host, lines })), "session");
      to("fra");
      assert.equal(told(await world.send("/", { host, lines })), "east miss");
    });

    for (const order of ["instance=session-fra;state=x", "instance=session-fra;timeout=10s", "instance=session-fra;fallback=force_self"]) {
      test(`not with ${order}`, async () => {
        world.orders["session"] = () => [`fly-replay: ${order}`];
        for (let i = 0; i < 2; i++) assert.equal(told(await world.send("/", { host, lines: [`cookie: sid=${world.base}`] })), "east miss");
      });
    }

    test("each rule has its time, and its word on skipping", async () => {
      const sid = [`cookie: sid=${world.base}`];
      const header = [`x-session: ${world.base}`];
      const skip = "fly-replay-cache-control: skip";
      to("fra");
      await world.send("/", { host, lines: sid });
      await world.send("/header", { host, lines: header });
      to("nrt");
      assert.equal(told(await world.send("/", { host, lines: [...sid, skip] })), "east hit");
      await world.node.passTime(45_000);
      assert.equal(told(await world.send("/header", { host, lines: header })), "east hit");
      await world.node.passTime(6_000);
      assert.equal(told(await world.send("/header", { host, lines: header })), "west miss");
      assert.equal(told(await world.send("/", { host, lines: sid })), "east hit");
      await world.node.passTime(60_000);
      assert.equal(told(await world.send("/", { host, lines: sid })), "west miss");
      to("fra");
      assert.equal(told(await world.send("/header", { host, lines: [...header, skip] })), "east miss", "its time was over");
      assert.equal(told(await world.send("/header", { host, lines: [...header, skip] })), "east bypass");
    });

    test("fly-replay-cache: invalidate of the target ends the session's", async () => {
      const lines = [`cookie: sid=${world.base}`];
      to("fra");
      await world.send("/", { host, lines });
      to("nrt");
      world.orders["east"] = () => ["fly-replay: app=session;elsewhere=true", "fly-replay-cache: invalidate"];
      assert.equal(told(await world.send("/", { host, lines })), "west miss");
      assert.equal(told(await world.send("/", { host, lines })), "west hit");
    });

    test("before what is remembered by path, and an order with a path of its own is remembered by that", async () => {
      const lines = [`cookie: sid=${world.base}`];
      to("fra");
      await world.send(world.base, { host, lines });
      world.orders["session"] = () => ["fly-replay: instance=session-nrt", `fly-replay-cache: ${world.base}/*`, TTL];
      assert.equal(told(await world.send(world.base, { host })), "west miss");
      assert.equal(told(await world.send(world.base, { host })), "west hit");
      assert.equal(told(await world.send(world.base, { host, lines })), "east hit");
      assert.equal(told(await world.send(world.base, { host, lines: [`cookie: sid=${world.base}-other`] })), "west hit");
    });
  });
}
