// While the near machine sleeps: who answers, with warm_detour and without (reference section 6.2, docs/decisions/010). What it costs in time is
// measured by bench/warm-detour.ts.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { APP_COMMAND, ask, identify, machineOf, processApp, untilMachine } from "../support/apps.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

const BOTH = ["ams", "nrt"];
const WAITS = "warm_detour = false";
/** With the detour, which is there by default. */
const STAYS = 'region_policy = "local-preferred"';
const BROKEN_IN_AMS = '[ "$FLY_REGION" = ams ] && exit 7';

const APPS = {
  detour: processApp("detour", { regions: BOTH, env: { BOOT_MS: "300", STARTS_FILE: "detour.starts" } }),
  waits: processApp("waits", { regions: BOTH, env: { BOOT_MS: "300" }, more: WAITS }),
  home: processApp("home", { regions: BOTH, env: { BOOT_MS: "300" }, more: STAYS }),
  homeless: processApp("homeless", { regions: BOTH, wakeTimeout: "10m", more: STAYS, command: `${BROKEN_IN_AMS}; ${APP_COMMAND}` }),
  broken: processApp("broken", { regions: BOTH, more: WAITS, command: `${BROKEN_IN_AMS}; ${APP_COMMAND}` }),
};

let node: TestNode;
before(async () => {
  node = await startTestNode({ region: "ams", workers: 2, apps: APPS });
});
after(() => node[Symbol.asyncDispose]());

async function warmUp(app: string): Promise<void> {
  await node.node.control.start(app, machineOf(node, app, "nrt").id);
}

describe("a near machine that sleeps, and a far one that is awake", () => {
  test("with warm_detour the far one answers everyone, the near one is woken once, and has the traffic when it is up", async () => {
    await warmUp("detour");
    const answers = await Promise.all(Array.from({ length: 50 }, () => identify(node.httpPort, "detour")));
    assert.deepEqual(new Set(answers.map(({ region }) => region)), new Set(["nrt"]));
    const { id } = await untilMachine(node, "detour", ({ state }) => state === "started", "ams");
    await node.settle();
    assert.equal((await identify(node.httpPort, "detour")).machine, id);
    const starts = node.events.filter(
      (event) => event.type === "machine_changed" && event.record.id === id && event.record.state === "starting",
    );
    assert.equal(new Set(starts.map((event) => event.type === "machine_changed" && event.record.changedAtMs)).size, 1);
  });

  test("and a resume that is learned to be quicker than the way there is waited for", async () => {
    await untilMachine(node, "detour", ({ state }) => state === "started", "ams");
    const { id } = machineOf(node, "detour", "ams");
    await node.node.control.suspend("detour", id);
    await ask(node.httpPort, "detour");
    await untilMachine(node, "detour", ({ state }) => state === "started", "ams");
    await node.node.control.suspend("detour", id);
    assert.equal((await identify(node.httpPort, "detour")).machine, id);
  });

  test("without it everyone waits for the near one", async () => {
    await warmUp("waits");
    const answers = await Promise.all(Array.from({ length: 50 }, () => identify(node.httpPort, "waits")));
    assert.deepEqual(new Set(answers.map(({ region }) => region)), new Set(["ams"]));
  });

  test('with "local-preferred" too, whether there is a detour or not: home comes before all else', async () => {
    await warmUp("home");
    const answers = await Promise.all(Array.from({ length: 50 }, () => identify(node.httpPort, "home")));
    assert.deepEqual(new Set(answers.map(({ region }) => region)), new Set(["ams"]));
  });

  test('and with "local-preferred" the far one answers, without another wait, when none at home can be woken', async () => {
    await warmUp("homeless");
    assert.equal((await identify(node.httpPort, "homeless")).region, "nrt");
    assert.equal((await identify(node.httpPort, "homeless")).region, "nrt");
  });

  test("but the far one answers when the near one cannot be woken", async () => {
    await warmUp("broken");
    assert.equal((await identify(node.httpPort, "broken")).region, "nrt");
    assert.equal((await identify(node.httpPort, "broken")).region, "nrt");
  });
});
