// Machines that fail while their checks pass, or without any: left alone for a growing time, never more than half of a service (DESIGN Health).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask } from "../support/apps.ts";
import { freePort, startRawBackend, staticApp, type Backend } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

/** Longer than any test lives: only `passTime` brings a machine back. */
const BASE_MS = 600_000;
const RULES = `[kittiwake.outliers]\nconsecutive = 3\nfive_xx = 4\nbase = "10m"\n`;

/** The nearest machine of an app is `APP-1`; the others are further off. */
function app(name: string, ports: readonly number[], more = RULES): string {
  const others = ports.slice(1).map((port, index) => {
    return `[[kittiwake.machines]]\nid = "${name}-${index + 2}"\nregion = "nrt"\naddress = "127.0.0.1:${port}"\n`;
  });
  return staticApp(name, ports[0]!, others.join("") + more);
}

/** A TCP port without the http handler: what is sent comes back. */
function rawApp(near: number, far: number): string {
  const machines = [near, far].map((port, index) => {
    return `[[kittiwake.machines]]\nid = "raw-${index + 1}"\nregion = "${["ams", "nrt"][index]}"\naddress = "127.0.0.1:${port}"\n`;
  });
  return `app = "raw"\nprimary_region = "ams"\n[[services]]\nprotocol = "tcp"\ninternal_port = 8080\nports = [{ port = 4000 }]\n[kittiwake]\ndriver = "static"\n${machines.join("")}${RULES}`;
}

let near: ScriptedBackend;
let far: ScriptedBackend;
let echo: Backend;
let node: TestNode;

before(async () => {
  near = await ScriptedBackend.start();
  far = await ScriptedBackend.start();
  echo = await startRawBackend((socket) => void socket.pipe(socket));
  const dead = await freePort();
  node = await startTestNode({
    ports: [4000],
    // As many as the largest app has machines: what is tried again after a while is in back-off.test.ts.
    tables: "[limits]\nattempts = 4",
    apps: {
      pair: app("pair", [near.port, far.port]),
      errors: app("errors", [near.port, far.port]),
      unasked: app("unasked", [near.port, far.port], `[kittiwake.outliers]\nbase = "10m"\n`),
      alone: app("alone", [dead]),
      off: app("off", [dead, far.port], "[kittiwake.outliers]\nmax_ejected = 0\n"),
      four: app("four", [dead, dead, dead, far.port]),
      both: app("both", [near.port, far.port]),
      reloaded: app("reloaded", [near.port, far.port]),
      raw: rawApp(dead, echo.port),
    },
  });
  await node.settle();
});

after(async () => {
  await node[Symbol.asyncDispose]();
  for (const backend of [near, far, echo]) await backend[Symbol.asyncDispose]();
});

/** Who answers, and after how many machines that did not; a GET is tried again elsewhere. */
async function get(name: string, method = "GET"): Promise<string> {
  using client = await RawClient.connect(node.httpPort);
  const answer = await client.send(`${method} / HTTP/1.1\r\nhost: ${name}.localhost\r\n\r\n`).response();
  return answer.header("kittiwake-error") ?? answer.body;
}

async function times<Result>(count: number, work: () => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let i = 0; i < count; i++) results.push(await work());
  return results;
}

/** The near machine breaks every connection as soon as a request has come; the far one answers. */
async function breakNear(): Promise<void> {
  await far.answers(() => response("far"));
  await near.answers((_, connection) => {
    connection.socket.resetAndDestroy();
    return null;
  });
}

interface Ejected {
  readonly machine: string;
  readonly forMs: number;
  readonly times: number;
  readonly reason: string;
}

function ejections(name: string): Ejected[] {
  const lines = readFileSync(join(node.dir, "node.log"), "utf8").split("\n").slice(0, -1);
  const parsed = lines.map((line) => JSON.parse(line) as Ejected & { app?: string; msg?: string });
  return parsed.filter(({ app: of, msg = "" }) => of === name && msg.includes("is an outlier"));
}

async function ejected(name: string, count: number): Promise<Ejected> {
  await eventually(() => ejections(name).length === count, `ejection ${count} of ${name}`);
  return ejections(name)[count - 1]!;
}

describe("DESIGN Health, outliers", () => {
  test("a machine that resets three connections in a row is left alone, comes back when its time is over, and stays away longer the next time", async () => {
    await breakNear();
    await times(3, () => get("pair"));
    assert.equal(near.requests.length, 3);
    assert.deepEqual(await times(5, () => get("pair")), Array<string>(5).fill("far"));
    assert.equal(near.requests.length, 3, "it was not left alone");
    const { machine, forMs, times: first, reason } = await ejected("pair", 1);
    assert.deepEqual([machine, forMs, first, reason], ["pair-1", BASE_MS, 1, "3 failed or broken connections in a row"]);

    await node.passTime(BASE_MS * 0.9);
    await get("pair");
    assert.equal(near.requests.length, 3);
    await node.passTime(BASE_MS * 0.2);
    await times(3, () => get("pair"));
    assert.equal(near.requests.length, 6, "it did not come back");
    assert.deepEqual([(await ejected("pair", 2)).forMs, ejections("pair")[1]!.times], [2 * BASE_MS, 2]);
    await node.passTime(BASE_MS * 1.5);
    await get("pair");
    assert.equal(near.requests.length, 6, "the second time is as long as the first");

    near.continuesWith(() => response("near"));
    await node.passTime(BASE_MS);
    assert.equal(await get("pair"), "near");
    const scraped = await ask(Number(new URL(node.adminUrl).port), "admin", "/metrics");
    const row = scraped.body.split("\n").find((line) => line.startsWith("kittiwake_ejections_total") && line.includes('app="pair"'));
    assert.match(row ?? "", /instance="pair-1".* 2$/);

    // Good conduct for three times the base has made up for both.
    await node.passTime(3 * BASE_MS);
    await breakNear();
    await times(3, () => get("pair"));
    assert.deepEqual([(await ejected("pair", 3)).forMs, ejections("pair")[2]!.times], [BASE_MS, 1]);
  });

  test("one success in between begins the count anew", async () => {
    let answered = 0;
    await far.answers(() => response("far"));
    await near.answers((_, connection) => {
      // Not to be kept: one that was, and is broken before it answers, says nothing about the machine.
      if (++answered % 3 === 0) return response("near", ["connection: close"]);
      connection.socket.resetAndDestroy();
      return null;
    });
    await times(12, () => get("both"));
    assert.equal(near.requests.length, 12);
    assert.deepEqual(ejections("both"), []);
  });

  test("responses 5xx count where the app asks for it, and only in a row", async () => {
    await far.answers(() => response("far"));
    const statuses = [500, 502, 503, 404, 500, 500, 503, 599];
    await near.answers(() => response("near", [], `${statuses.shift() ?? 500} Some`));
    await times(7, () => get("errors", "POST"));
    assert.deepEqual(ejections("errors"), []);
    assert.deepEqual(await times(3, () => get("errors", "POST")), ["near", "far", "far"]);
    assert.equal((await ejected("errors", 1)).reason, "4 responses 5xx in a row");

    await times(20, () => get("unasked"));
    assert.deepEqual(ejections("unasked"), []);
  });

  test("never more than half of a service's machines are left alone, and a single one never", async () => {
    const refused = await Promise.all(Array.from({ length: 5 }, () => get("alone")));
    assert.deepEqual(new Set(refused), new Set(["connect_refused"]));
    assert.deepEqual(ejections("alone"), []);
    await far.answers(() => response("far"));
    assert.deepEqual(new Set(await times(20, () => get("four"))), new Set(["far"]));
    await ejected("four", 2);
    assert.equal(new Set(ejections("four").map(({ machine }) => machine)).size, 2);
    assert.deepEqual(new Set(await times(8, () => get("off"))), new Set(["far"]));
    assert.deepEqual(ejections("off"), [], "with max_ejected = 0");
  });

  test("a request that all others failed is tried by one that is left alone, rather than refused", async () => {
    await breakNear();
    await times(3, () => get("reloaded"));
    await ejected("reloaded", 1);
    near.continuesWith(() => response("near"));
    far.continuesWith((_, connection) => {
      connection.socket.resetAndDestroy();
      return null;
    });
    assert.equal(await get("reloaded"), "near");
  });

  test("a connection without HTTP counts as well: it fails to connect, or stands", async () => {
    for (let i = 0; i < 5; i++) {
      using client = await RawClient.connect(node.boundPort(4000));
      client.send("hello");
      await client.until((received) => received === "hello");
    }
    const { machine, reason } = await ejected("raw", 1);
    assert.deepEqual([machine, reason], ["raw-1", "3 failed or broken connections in a row"]);
  });
});
