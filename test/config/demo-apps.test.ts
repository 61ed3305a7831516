import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { TestContext } from "node:test";

const apps = join(import.meta.dirname, "../../config/apps");
const ENV = { PORT: "0", FLY_APP_NAME: "demo", FLY_REGION: "nrt", FLY_MACHINE_ID: "1a2b3c" };

test("the demo's servers say which machine they are, and end when they are asked to", { timeout: 15_000 }, async (t) => {
  const endings = [
    ["hello", "SIGINT"],
    ["slow", "SIGTERM"],
  ] as const;
  await Promise.all(
    endings.map(async ([name, signal]) => {
      const { child, url } = await startServer(t, name);
      const text = await (await fetch(url)).text();
      assert.match(text, /from nrt\napp +demo\nmachine +1a2b3c\npid +\d+\nup +\d+\.\d s\n$/);
      assert.ok(text.includes(`pid      ${child.pid}`));
      child.kill(signal);
      const [code] = await once(child, "exit");
      assert.equal(code, 0);
    }),
  );
});

test("a server that still boots ends when it is asked to", { timeout: 15_000 }, async (t) => {
  const child = spawnServer(t, "slow");
  await once(child, "spawn");
  // The handler is in place once the script has run; only then does a signal end in exit code 0. Until then it kills.
  child.kill("SIGTERM");
  const [code, signal] = await once(child, "exit");
  assert.ok(code === 0 || signal === "SIGTERM");
});

async function startServer(t: TestContext, name: string) {
  const child = spawnServer(t, name);
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child, url: `http://127.0.0.1:${/port (\d+)$/.exec(line)![1]}/` };
}

function spawnServer(t: TestContext, name: string) {
  const child = spawn(process.execPath, [`${name}/server.mjs`], { cwd: apps, env: ENV, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  return child;
}
