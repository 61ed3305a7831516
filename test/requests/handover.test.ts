// One node takes over from another on the same ports: two processes, clients that never pause, and no request that fails. More often:
// HANDOVERS=20 node test/run.ts test/requests/handover.test.ts

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Directory, Running } from "../cli/command.ts";
import { staticApp } from "../support/backend.ts";
import { get } from "../support/edge.ts";
import { RawClient } from "../support/raw-client.ts";
import { ScriptedBackend, response } from "../support/scripted-backend.ts";

const HANDOVERS = Number(process.env["HANDOVERS"] ?? 1);
const FRESH_CLIENTS = 8;
const KEPT_CLIENTS = 8;
const READY = /^ready http=127\.0\.0\.1:(\d+) /m;

const backend = await ScriptedBackend.start(({ target }) => response(target));
after(() => backend[Symbol.asyncDispose]());

/** The configuration of a node; 0 binds any free port. */
function directory(port: number): Directory {
  const toml = [
    'region = "ams"',
    "workers = 2",
    "[edge]",
    'bind = ["127.0.0.1"]',
    `ports = { 80 = ${port}, 443 = 0 }`,
    "[admin]",
    'listen = "127.0.0.1:0"',
    "[log]",
    'file = "node.log"',
    'access = "off"',
  ];
  return new Directory({ "kittiwake.toml": toml.join("\n"), "apps/hello.toml": staticApp("hello", backend.port) });
}

const answered = { fresh: 0, kept: 0, again: 0, reset: 0 };

/** The reset may even come before the connection stands. */
async function connect(port: number): Promise<RawClient> {
  try {
    return await RawClient.connect(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    answered.reset++;
    return await connect(port);
  }
}

/**
 * A request on a connection of its own. The kernel may reset one that came in the very moment in which a listener closed (docs/operations.md);
 * that is sent again, as every client would, and must be rare.
 */
async function askOnce(port: number, target: string): Promise<void> {
  using client = await connect(port);
  client.send(get(target, ["connection: close"]));
  await client.until((text) => text !== "").catch(() => {});
  if (client.received === "" && client.wasReset) {
    answered.reset++;
    return await askOnce(port, target);
  }
  const { status, body } = await client.response();
  assert.deepEqual([status, body], [200, target]);
  answered.fresh++;
}

/** Asks over one connection for as long as that stands. One that rests may end just as the next request leaves: that one is sent again. */
async function askUntilEnd(port: number, name: string, isOver: () => boolean): Promise<void> {
  using client = await connect(port);
  for (let i = 0; !isOver(); i++) {
    const before = client.received.length;
    try {
      const answer = await client.send(get(`/${name}-${i}`)).response();
      assert.deepEqual([answer.status, answer.body], [200, `/${name}-${i}`]);
      answered.kept++;
      if (answer.header("connection") === "close") return;
    } catch (error) {
      const isFirst = i === 0 && !client.wasReset;
      if (error instanceof assert.AssertionError || isFirst || client.received.length > before) throw error;
      answered.again++;
      return;
    }
  }
}

test(`${HANDOVERS} times under load`, { timeout: 60_000 + HANDOVERS * 5000 }, async () => {
  const directories = [directory(0)];
  let running = new Running(["run"], directories[0]!.path);
  const port = Number((await running.output(READY))[1]);
  let isOver = false;
  const errors: unknown[] = [];
  const load = async (ask: (name: string) => Promise<void>, name: string): Promise<void> => {
    for (let i = 0; !isOver; i++) await ask(`${name}-${i}`).catch((error: unknown) => errors.push(error));
  };
  const clients = [
    ...Array.from({ length: FRESH_CLIENTS }, (_, i) => load((name) => askOnce(port, `/${name}`), `f${i}`)),
    ...Array.from({ length: KEPT_CLIENTS }, (_, i) => load((name) => askUntilEnd(port, name, () => isOver), `k${i}`)),
  ];
  for (let i = 0; i < HANDOVERS; i++) {
    const next = directory(port);
    directories.push(next);
    const taking = new Running(["run"], next.path);
    await taking.output(READY);
    running.signal("SIGTERM");
    assert.equal((await running.end()).code, 0);
    running = taking;
  }
  isOver = true;
  await Promise.all(clients);
  await running[Symbol.asyncDispose]();
  for (const one of directories) one[Symbol.dispose]();
  console.log(`# ${JSON.stringify(answered)}, ${errors.length} failed`);
  for (const error of errors.slice(0, 5)) console.log(`# ${String(error)}`);
  assert.deepEqual(errors, []);
  assert.ok(answered.reset < 10 * HANDOVERS);
  assert.ok(answered.fresh > 100 && answered.kept > 100);
});
