// Which of several machines answers, as clients see it: region_policy and balance of an app (reference sections 3.1 and 3.2).

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { APP_COMMAND, ask, identify, machineOf, processApp, untilMachine, type Answer } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

/** An app whose machines are servers of the test, by region. */
function fleetApp(name: string, settings: string, machines: readonly (readonly [region: string, backend: ScriptedBackend])[]): string {
  const tables = machines.map(
    ([region, { port }], index) => `[[kittiwake.machines]]\nid = "${name}-${index}"\nregion = "${region}"\naddress = "127.0.0.1:${port}"\n`,
  );
  return `app = "${name}"
primary_region = "ams"
[http_service]
internal_port = 8080
[http_service.concurrency]
type = "requests"
soft_limit = 2
[kittiwake]
driver = "static"
${settings}
${tables.join("")}`;
}

/** Runs where it is placed, but never in ams. */
const NOT_IN_AMS = `if [ "$FLY_REGION" = ams ]; then exit 1; fi; `;

describe("of several machines", async () => {
  const backends = await Promise.all(Array.from({ length: 3 }, () => ScriptedBackend.start()));
  const [one, two, three] = backends as [ScriptedBackend, ScriptedBackend, ScriptedBackend];
  const preferred = `region_policy = "local-preferred"`;
  const home = { regions: ["ams", "nrt"], more: preferred };
  const node = await startTestNode({
    region: "ams",
    apps: {
      closest: fleetApp("closest", "", [
        ["ams", one],
        ["ams", two],
      ]),
      packed: fleetApp("packed", `balance = "pack"`, [
        ["ams", one],
        ["ams", two],
        ["ams", three],
      ]),
      only: fleetApp("only", `region_policy = "local-only"`, [["fra", one]]),
      preferred: fleetApp("preferred", preferred, [["fra", one]]),
      sleeper: processApp("sleeper", home),
      broken: processApp("broken", {
        ...home,
        command: `${NOT_IN_AMS}${APP_COMMAND}`,
      }),
    },
  });
  await eventually(() => {
    const names = ["closest", "packed", "only", "preferred"];
    return names.every((app) => node.node.control.machines(app).every(({ state }) => state === "started"));
  }, "the machines");
  after(async () => {
    await node[Symbol.asyncDispose]();
    for (const backend of backends) await backend[Symbol.asyncDispose]();
  });
  const answers = async (): Promise<void> => void (await Promise.all(backends.map((backend) => backend.answers(() => response("ok")))));
  const get = (app: string): Promise<Answer> => ask(node.httpPort, app);

  test("the one that is slow to answer is asked again only now and then", async () => {
    await answers();
    await two.answers((_, connection) => {
      setTimeout(() => connection.send(response("slow", ["connection: close"])), 40);
      return null;
    });
    for (let n = 0; n < 40; n++) assert.equal((await get("closest")).status, 200);
    assert.ok(one.requests.length >= 30, `the quick one had ${one.requests.length} of 40`);
  });

  test("packed ones are used from the first on, and the next only when that is at its soft limit", async () => {
    await answers();
    for (let n = 0; n < 10; n++) await get("packed");
    assert.deepEqual(
      [one, two, three].map(({ requests }) => requests.length),
      [10, 0, 0],
    );

    await Promise.all(backends.map((backend) => backend.answers(() => null)));
    const held = Array.from({ length: 3 }, () => get("packed"));
    await eventually(() => one.requests.length === 2 && two.requests.length === 1, "two requests on the first and one on the second");
    assert.equal(three.requests.length, 0);
    for (const { connections } of [one, two]) for (const connection of connections) connection.send(response("done"));
    assert.deepEqual(
      (await Promise.all(held)).map(({ status }) => status),
      [200, 200, 200],
    );
  });

  test("with local-only a region without a machine refuses, though there is one elsewhere", async () => {
    await answers();
    const { status, headers } = await get("only");
    assert.deepEqual([status, headers["kittiwake-error"], one.requests.length], [503, "no_machine", 0]);
  });

  test("with local-preferred a region without a machine is served from elsewhere", async () => {
    await answers();
    assert.deepEqual([(await get("preferred")).status, one.requests.length], [200, 1]);
  });

  test("with local-preferred the one at home is woken, though one elsewhere is awake", async () => {
    await node.node.control.start("sleeper", machineOf(node, "sleeper", "nrt").id);
    await untilMachine(node, "sleeper", ({ state }) => state === "started", "nrt");
    assert.equal((await identify(node.httpPort, "sleeper")).region, "ams");
  });

  test("with local-preferred those who wait for one at home that cannot be woken are served from elsewhere", async () => {
    await node.node.control.start("broken", machineOf(node, "broken", "nrt").id);
    await untilMachine(node, "broken", ({ state }) => state === "started", "nrt");
    let isServed = false;
    const answer = identify(node.httpPort, "broken").finally(() => (isServed = true));
    await node.passTimeUntil(() => isServed, 5000);
    assert.equal((await answer).region, "nrt");
  });
});
