// The panic floor (DESIGN Health; reference 3.3): when every machine that runs fails its checks, the best of them is tried rather than none.

import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { APP_COMMAND, ask, identify, processApp, untilMachine } from "../support/apps.ts";
import { freePort, staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend, type Answer } from "../support/scripted-backend.ts";

const TIMING = 'interval = "1s"\ntimeout = "1s"\ngrace_period = "0s"';
const CHECK = `[[http_service.checks]]\npath = "/health"\n${TIMING}\n`;
const far = (app: string, port: number): string =>
  `[[kittiwake.machines]]\nid = "${app}-2"\nregion = "nrt"\naddress = "127.0.0.1:${port}"\n`;
const sick: (name: string) => Answer = (name) => (request) =>
  request.target === "/health" ? response("", [], "500 Broken") : response(name);

let near: ScriptedBackend;
let other: ScriptedBackend;
let node: TestNode;

before(async () => {
  near = await ScriptedBackend.start(sick("near"));
  other = await ScriptedBackend.start(sick("far"));
  const dead = await freePort();
  const waking = `test "$FLY_REGION" = nrt && test -e broken && exit 7; ${APP_COMMAND}`;
  node = await startTestNode({
    apps: {
      hello: staticApp("hello", near.port, far("hello", other.port) + CHECK),
      pristine: staticApp("pristine", near.port, `${CHECK}[http_service.http_options.response]\npristine = true\n`),
      edited: staticApp("edited", near.port, `${CHECK}[http_service.http_options]\nidle_timeout = 60\n`),
      half: staticApp("half", dead, far("half", other.port) + CHECK),
      dead: staticApp("dead", dead, far("dead", dead) + CHECK),
      asleep: processApp("asleep", {
        regions: ["ams", "nrt"],
        minRunning: 1,
        command: waking,
        env: { SICK_FILES: "sick" },
        more: CHECK,
      }),
    },
    tables: "[limits]\nattempts = 2",
  });
  for (const app of ["hello", "pristine", "edited", "half", "dead"]) {
    await untilMachine(node, app, ({ health }) => health === "critical");
  }
  for (const app of ["hello", "half", "dead"]) await untilMachine(node, app, ({ health }) => health === "critical", "nrt");
  await node.settle();
});

after(async () => {
  await node[Symbol.asyncDispose]();
  await near[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

async function get(app: string, method = "GET"): Promise<[status: number, body: string, panic: string | null, error: string | null]> {
  using client = await RawClient.connect(node.httpPort);
  const answer = await client.send(`${method} / HTTP/1.1\r\nhost: ${app}.localhost\r\n\r\n`).response();
  return [answer.status, answer.body, answer.header("kittiwake-panic"), answer.header("kittiwake-error")];
}

describe("DESIGN Health, the panic floor: when every machine that runs is critical", () => {
  test("the nearest is tried, and the response says so", async () => {
    assert.deepEqual(await get("hello"), [200, "near", "1", null]);
  });

  test("it says so over HTTP/2 and where http_options change the head, but not with pristine", async () => {
    using client = await Http2Client.connect(node, {}, "hello.localhost");
    const answer = await client.get("/", { ":authority": "hello.localhost" });
    assert.deepEqual([answer.status, answer.headers["kittiwake-panic"]], [200, "1"]);
    assert.deepEqual(await get("edited"), [200, "near", "1", null]);
    assert.deepEqual(await get("pristine"), [200, "near", null, null]);
  });

  test("the next one is tried when the nearest cannot be reached; with none left it is 503 no_healthy_machine", async () => {
    assert.deepEqual(await get("half", "POST"), [200, "far", "1", null]);
    const [status, , panic, error] = await get("dead");
    assert.deepEqual([status, panic, error], [503, null, "no_healthy_machine"]);
  });

  test("the log and the metrics tell it", async () => {
    const log = (): Record<string, unknown>[] =>
      readFileSync(join(node.dir, "node.log"), "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    await get("hello");
    await eventually(() => log().some((line) => line["panic"] === true && line["app"] === "hello"), "the access log");
    const warnings = log().filter((line) => line["app"] === "hello" && String(line["msg"]).startsWith("every machine that runs fails"));
    assert.equal(warnings.length, 1, "one warning a minute, not one a request");
    const scraped = await ask(Number(new URL(node.adminUrl).port), "admin", "/metrics");
    const counted = /^kittiwake_panics_total\{[^}]*app="hello"[^}]*\} (\d+)$/m.exec(scraped.body);
    assert.ok(Number(counted?.[1]) >= 3, scraped.body);
  });

  test("one that can be woken is woken instead, and the sick one is tried when that fails", async () => {
    writeFileSync(join(node.dir, "apps/broken"), "");
    writeFileSync(join(node.dir, "apps/sick-ams"), "");
    await untilMachine(node, "asleep", ({ health }) => health === "critical");
    await node.settle();
    const { status, headers, body } = await ask(node.httpPort, "asleep");
    assert.deepEqual([status, headers["kittiwake-panic"], JSON.parse(body).region], [200, "1", "ams"]);

    rmSync(join(node.dir, "apps/broken"));
    assert.equal((await identify(node.httpPort, "asleep")).region, "nrt");
    const warm = await ask(node.httpPort, "asleep");
    assert.deepEqual([warm.status, warm.headers["kittiwake-panic"]], [200, undefined]);
  });
});
