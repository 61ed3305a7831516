// `kittiwake run` as its operator sees it: a real node with real machines, told what to do by signals.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";

import { Directory, type Ended, kittiwake, Running } from "./command.ts";

const NODE_TOML = `
node = "run-test"
region = "ams"
workers = 1
[edge]
bind = ["127.0.0.1"]
ports = { 80 = 0, 443 = 0 }
[admin]
listen = "127.0.0.1:0"
[log]
file = "node.log"
access = "off"
`;
const APP_TOML = `
app = "hello"
[processes]
app = "exec '${process.execPath}' server.mjs"
[http_service]
internal_port = 8080
auto_stop_machines = "suspend"
auto_start_machines = true
regions = ["ams"]
`;
const SERVER = `
import { createServer } from "node:http";
createServer((_, response) => response.end("hello from " + process.pid)).listen(process.env.PORT);
setTimeout(() => process.exit(), 60_000);
`;
const READY = /^ready http=(127\.0\.0\.1:\d+) https=127\.0\.0\.1:(\d+) admin=(127\.0\.0\.1:\d+)$/m;

function nodeDirectory(): Directory {
  return new Directory({ "kittiwake.toml": NODE_TOML, "apps/hello.toml": APP_TOML, "apps/server.mjs": SERVER });
}

/** What the app answers over HTTPS, trusting nothing but the root that the CLI prints. */
async function get(directory: Directory, port: string): Promise<string> {
  const { stdout: ca } = await kittiwake(["certs", "root"], directory.path);
  return await new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      ca,
      servername: "hello.localhost",
      headers: { host: `hello.localhost:${port}` },
      agent: false,
    };
    const sent = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(text));
    });
    sent.on("error", reject).end();
  });
}

describe("a node that runs", () => {
  test("says when it is ready, what it woke and what it reloaded, and ends with 0 and its machines", async () => {
    using directory = nodeDirectory();
    await using node = new Running(["run"], directory.path);
    const [, , httpsPort] = await node.output(READY);
    const [, , , admin] = READY.exec(node.stdout)!;
    assert.equal(node.stdout.match(/^ready /gm)?.length, 1);
    assert.ok(node.stdout.includes(`https://hello.localhost:${httpsPort}/`));

    const [, pid] = /^hello from (\d+)$/.exec(await get(directory, httpsPort!))!;
    const [, total, start, edge] = await node.output(/^woke hello\/ams in (\d+) ms \(start (\d+), edge (\d+)\)$/m);
    assert.equal(Number(total), Number(start) + Number(edge));

    const status = await kittiwake(["status", "--admin", `http://${admin}`], directory.path);
    assert.equal(status.code, 0);
    assert.match(status.stdout, /^hello +1 +1 +hello\.localhost$/m);

    directory.write("apps/second.toml", APP_TOML.replace('"hello"', '"second"'));
    node.signal("SIGHUP");
    await node.output(/^reloaded: added second$/m);
    directory.write("apps/second.toml", "app = \n");
    node.signal("SIGHUP");
    await node.output(/^not reloaded: the old configuration stays in force\n {2}\S*second\.toml:1\b/m);

    node.signal("SIGTERM");
    assert.equal((await node.end()).code, 0);
    assert.equal(isRunning(Number(pid)), false);
  });

  test("with --keep-machines leaves them to the next one", async () => {
    using directory = nodeDirectory();
    const pids: string[] = [];
    for (const flags of [["--keep-machines"], []]) {
      await using node = new Running(["run", ...flags], directory.path);
      const [, , port] = await node.output(READY);
      pids.push(await get(directory, port!));
      node.signal("SIGINT");
      assert.equal((await node.end()).code, 0);
    }
    assert.equal(pids[0], pids[1]);
    assert.equal(isRunning(Number(pids[0]!.split(" ").at(-1))), false);
  });

  test("ends at once on the second signal", async () => {
    using directory = nodeDirectory();
    await using node = new Running(["run"], directory.path);
    await node.output(READY);
    node.signal("SIGTERM");
    await node.output(/^stopping; /m, "stderr");
    node.signal("SIGTERM");
    // It may have been quick enough to end by itself.
    const { code } = await node.end();
    assert.ok(code === 1 || code === 0, String(code));
  });
});

describe("a node that cannot run", () => {
  test("prints every problem of its configuration and ends with 2", async () => {
    using directory = nodeDirectory();
    directory.write("apps/bad.toml", 'app = "bad"\n[http_service]\ninternal_port = 0\n');
    directory.write("apps/worse.toml", "app = \n");
    const { code, stdout, stderr } = await end(new Running(["run"], directory.path));
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^error: apps\/bad\.toml:3 http_service\.internal_port: /m);
    assert.match(stderr, /^error: apps\/worse\.toml:1/m);
  });

  test("because its admin address is taken says so and ends with 2", async () => {
    using directory = nodeDirectory();
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    directory.write("kittiwake.toml", NODE_TOML.replace("127.0.0.1:0", `127.0.0.1:${(other.address() as AddressInfo).port}`));
    const { code, stderr } = await end(new Running(["run"], directory.path));
    other.close();
    assert.equal(code, 2);
    assert.match(stderr, /^kittiwake: the admin API cannot listen on "127\.0\.0\.1" port \d+: another program listens there/m);
  });
});

test("output that nobody reads to its end is no failure", async () => {
  using directory = new Directory();
  const main = join(import.meta.dirname, "../../src/main.ts");
  const pipeline = `set -o pipefail; '${process.execPath}' '${main}' regions --from ams --json | head -c 10`;
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", pipeline], { cwd: directory.path });
  assert.deepEqual([stdout.length, stderr], [10, ""]);
});

/** A process that has ended but that nobody has asked after is still listed (state Z). */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function end(running: Running): Promise<Ended> {
  await using command = running;
  return await command.end();
}
