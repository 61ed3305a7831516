// A thousand requests, a hundred at once, to an app that sleeps in the near region and is awake in one 80 ms away: with warm_detour and without.
// Prints the times to the first byte, who answered, and when the traffic had moved home; docs/decisions/010.
//
//     node bench/warm-detour.ts

import { writeFileSync } from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent } from "node:http";
import { ask, machineOf, processApp, untilMachine } from "../test/support/apps.ts";
import { startTestNode } from "../test/support/node.ts";

const REQUESTS = 1000;
const AT_ONCE = 100;
const FAR_MS = 80;
const BOOT_MS = 1500;

/** Listens at once in the far region, where every answer comes a round trip later; and only after a while in the near one. */
const SERVER = `
import { createServer } from "node:http";
const { PORT, FLY_REGION: region } = process.env;
const isFar = region === "nrt";
const server = createServer((request, response) => setTimeout(() => response.end(region), isFar ? ${FAR_MS} : 0));
setTimeout(() => server.listen(Number(PORT), "127.0.0.1", 1024), isFar ? 0 : ${BOOT_MS});
process.on("SIGINT", () => process.exit(0));
`;
const REGIONS = `[[rtt]]\nfrom = "ams"\nto = "nrt"\nms = ${FAR_MS}\n`;

interface Asked {
  readonly region: string;
  readonly atMs: number;
  readonly firstByteMs: number;
}

const directory = mkdtempSync(join(tmpdir(), "kittiwake-bench-"));
try {
  const program = join(directory, "server.mjs");
  const regions = join(directory, "regions.toml");
  writeFileSync(program, SERVER);
  writeFileSync(regions, REGIONS);
  for (const hasDetour of [true, false]) {
    const command = `exec '${process.execPath}' '${program}'`;
    const app = processApp("hello", { command, regions: ["ams", "nrt"], more: `warm_detour = ${hasDetour}` });
    await using node = await startTestNode({
      region: "ams",
      workers: 2,
      apps: { hello: app },
      tables: `[regions]\ntable = ${JSON.stringify(regions)}`,
    });
    await node.node.control.start("hello", machineOf(node, "hello", "nrt").id);
    const startedMs = performance.now();
    let upMs = Infinity;
    void untilMachine(node, "hello", ({ state }) => state === "started", "ams").then(() => (upMs = performance.now() - startedMs));
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const answers: Asked[] = [];
    const askOne = async (): Promise<void> => {
      const { body, firstByteMs } = await ask(node.httpPort, "hello", "/", { agent });
      answers.push({ region: body, atMs: performance.now() - startedMs, firstByteMs });
    };
    let left = REQUESTS;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (left-- > 0) await askOne();
      }),
    );
    // What comes next goes on until the traffic is at home, one at a time.
    const measured = answers.length;
    while (answers.at(-1)!.region !== "ams") await askOne();
    agent.destroy();
    report(hasDetour, answers.slice(0, measured), answers.findLast(({ region }) => region === "nrt")?.atMs ?? 0, upMs);
  }
} finally {
  rmSync(directory, { recursive: true });
}

function report(hasDetour: boolean, answers: readonly Asked[], lastFarMs: number, upMs: number): void {
  const times = answers.map(({ firstByteMs }) => firstByteMs).toSorted((a, b) => a - b);
  const at = (share: number): string => `${times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1)} ms`;
  const far = answers.filter(({ region }) => region === "nrt").length;
  console.log(
    `warm_detour = ${hasDetour}: ${answers.length} requests, ${AT_ONCE} at once; far round trip ${FAR_MS} ms, near start ${BOOT_MS} ms`,
  );
  console.log(`  first byte: p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}; ${far} by the far machine`);
  console.log(`  near one up after ${upMs.toFixed(0)} ms, last answer of the far one after ${lastFarMs.toFixed(0)} ms`);
}
