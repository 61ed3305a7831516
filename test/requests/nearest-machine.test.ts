// Which machine answers: the nearest one that is healthy, as the table of regions has it.

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Latency } from "../../src/catalog/latency.ts";
import { REGIONS } from "../../src/core/region-table.ts";
import { ask, identify, processApp, untilMachine } from "../support/apps.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

const ALL = ["ams", "nrt", "ord"];
const CHECK = `
[[http_service.checks]]
path = "/health"
interval = "1s"
timeout = "1s"
grace_period = "0s"
`;

/** The regions of the app, nearest to `from` first. */
function byDistance(from: string): string[] {
  return ALL.toSorted(new Latency({ regions: REGIONS }).byDistance(from));
}

async function untilHealthIs(node: TestNode, region: string, health: string): Promise<void> {
  await untilMachine(node, "hello", (machine) => machine.health === health, region);
}

describe("an app in ams, nrt and ord, asked in nrt", () => {
  test("is answered by nrt; while that fails its check by the next nearest; and by nrt again", async () => {
    const hello = processApp("hello", { regions: ALL, autoStop: "off", env: { SICK_FILES: "sick" }, more: CHECK });
    await using node = await startTestNode({ region: "nrt", workers: 2, apps: { hello } });
    const [nearest, second, third] = byDistance("nrt") as [string, string, string];
    assert.equal(nearest, "nrt");
    const answering = async (): Promise<Set<string>> => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => identify(node.httpPort, "hello")));
      return new Set(answers.map(({ region }) => region));
    };
    const sickness = (region: string): string => join(node.dir, `apps/sick-${region}`);

    for (const region of ALL) await untilHealthIs(node, region, "passing");
    assert.deepEqual(await answering(), new Set([nearest]));

    writeFileSync(sickness(nearest), "");
    await untilHealthIs(node, nearest, "critical");
    assert.deepEqual(await answering(), new Set([second]));

    writeFileSync(sickness(second), "");
    await untilHealthIs(node, second, "critical");
    assert.deepEqual(await answering(), new Set([third]));

    rmSync(sickness(nearest));
    await untilHealthIs(node, nearest, "passing");
    assert.deepEqual(await answering(), new Set([nearest]));
  });

  test("wakes nrt, the nearest, when all are asleep, and uses a machine that runs further off while nrt wakes again", async () => {
    // Longer than the way to the next region, which is what a nearer one is waited for otherwise.
    await using node = await startTestNode({
      region: "nrt",
      apps: { hello: processApp("hello", { regions: ALL, env: { BOOT_MS: "300" } }) },
    });
    const { region, machine } = await identify(node.httpPort, "hello");
    assert.equal(region, "nrt");

    const [, second] = byDistance("nrt");
    const { id } = await untilMachine(node, "hello", () => true, second);
    await node.node.control.start("hello", id);
    await node.node.control.stop("hello", machine);
    assert.equal((await identify(node.httpPort, "hello")).region, second);
    await untilMachine(node, "hello", ({ state }) => state === "started", "nrt");
    assert.equal((await identify(node.httpPort, "hello")).region, "nrt");
  });

  test("DESIGN Health: is answered by a machine that fails its check when all that run do, and the response says so", async () => {
    const hello = processApp("hello", { autoStop: "off", env: { SICK_FILES: "sick" }, more: CHECK });
    await using node = await startTestNode({ region: "nrt", apps: { hello } });
    writeFileSync(join(node.dir, "apps/sick-ams"), "");
    await untilHealthIs(node, "ams", "critical");
    const { status, headers } = await ask(node.httpPort, "hello");
    assert.deepEqual([status, headers["kittiwake-panic"], headers["kittiwake-error"]], [200, "1", undefined]);
  });
});
