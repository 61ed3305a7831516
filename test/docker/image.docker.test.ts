// The Dockerfile builds, and what it builds runs: not as root, from compiled code alone, healthy, and gone when told to stop.
// Needs root and buildah; build.sh makes the base image, so that no registry of images is asked.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, test } from "node:test";

const BUILD_TIMEOUT_MS = 170_000;

interface ImageConfig {
  readonly User: string;
  readonly StopSignal: string;
  readonly Entrypoint: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Volumes: Readonly<Record<string, unknown>>;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

describe("the image", { skip: whyNot() }, () => {
  const directory = mkdtempSync(join(tmpdir(), "kittiwake-image-"));
  const storage = ["--root", join(directory, "graph"), "--runroot", join(directory, "run"), "--storage-driver", "vfs"];
  after(() => rmSync(directory, { recursive: true, force: true }));

  test("builds", { timeout: BUILD_TIMEOUT_MS }, () => {
    const built = spawnSync(join(import.meta.dirname, "build.sh"), [directory], { encoding: "utf8" });
    assert.equal(built.status, 0, `${built.stdout}\n${built.stderr}`);
  });

  test("says who it runs as, how it is stopped, and how its health is asked", () => {
    const inspected = JSON.parse(buildah("inspect", "--type", "image", "kittiwake")) as { Docker: { config: ImageConfig } };
    const { config } = inspected.Docker;
    assert.equal(config.User, "10001:10001");
    assert.equal(config.StopSignal, "SIGTERM");
    assert.deepEqual(config.Entrypoint, ["node", "bin/kittiwake.js"]);
    assert.deepEqual(Object.keys(config.ExposedPorts).toSorted(), ["443/tcp", "80/tcp"]);
    assert.deepEqual(Object.keys(config.Volumes), ["/var/lib/kittiwake"]);
    assert.equal(config.Healthcheck.Test[0], "CMD");
  });

  test("holds compiled code and runtime dependencies, nothing else", () => {
    const container = buildah("from", "--pull-never", "kittiwake");
    const list = "console.log(JSON.stringify([fs.readdirSync('.').sort(), fs.existsSync('node_modules/typescript'), process.getuid()]))";
    const printed = buildah("run", "--isolation", "chroot", container, "--", "node", "-e", list);
    assert.deepEqual(JSON.parse(printed), [["LICENSE", "bin", "dist", "node_modules", "package.json"], false, 10_001]);
  });

  test("starts a node that becomes healthy, and that ends when it is told to", { timeout: 50_000 }, async ({ signal }) => {
    const [http, https, admin] = await freePorts(3);
    writeFileSync(
      join(directory, "kittiwake.toml"),
      `region = "ams"\napps = []\ndata_dir = "/var/lib/kittiwake"\n[edge]\nbind = ["127.0.0.1"]\nports = { 80 = ${http}, 443 = ${https} }\n` +
        `[admin]\nlisten = "127.0.0.1:${admin}"\n`,
    );
    const container = buildah("from", "--pull-never", "kittiwake");
    const mount = ["--volume", `${join(directory, "kittiwake.toml")}:/etc/kittiwake/kittiwake.toml:ro`];
    const run = [...storage, "run", "--isolation", "chroot", ...mount, container, "--"];
    const command = [...config(container).Entrypoint, "run", "--config", "/etc/kittiwake/kittiwake.toml"];
    const buildahRun = spawn("buildah", [...run, ...command], { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(buildahRun, "exit");
    try {
      for await (const line of createInterface({ input: buildahRun.stdout, signal })) if (line.startsWith("ready ")) break;
      const probe = ["env", `KITTIWAKE_HEALTH_URL=http://127.0.0.1:${admin}/healthz`, ...config(container).Healthcheck.Test.slice(1)];
      execFileSync("buildah", [...run, ...probe]);
    } finally {
      // To the node itself: buildah does not pass signals on.
      process.kill(innermost(buildahRun.pid ?? 0), "SIGTERM");
    }
    assert.deepEqual(await exited, [0, null]);
  });

  function buildah(...args: string[]): string {
    return execFileSync("buildah", [...storage, ...args], { encoding: "utf8" }).trim();
  }

  function config(container: string): ImageConfig {
    return (JSON.parse(buildah("inspect", container)) as { Docker: { config: ImageConfig } }).Docker.config;
  }
});

/** The reason to skip, or false. */
function whyNot(): string | false {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root, which buildah's chroot isolation needs";
  return spawnSync("buildah", ["--version"]).error === undefined ? false : "needs buildah (apt-get install buildah)";
}

/** The last of the processes that `pid` started in turn: buildah has two of its own in front of the node. */
function innermost(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const children = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8")).join("");
  return children === "" ? pid : innermost(Number.parseInt(children, 10));
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
