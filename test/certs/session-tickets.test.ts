// The keys of session tickets: one set for all nodes of a store, changed by all of them at one moment; and sessions that go on in another
// process.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Secret } from "../../src/certs/secret.ts";
import { SessionTickets, type SessionTicketsOptions } from "../../src/certs/session-tickets.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import { recordingLog, ScratchDirectory, silent } from "./fixtures.ts";

const KEY = "certs/tickets";
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const secretOf = (environment: string): Promise<Secret> =>
  Secret.open({ path: "unused", environment, isInUse: async () => false, log: silent });
const environment = randomBytes(32).toString("base64");
const secret = await secretOf(environment);

/** Nodes of one store, and the time for all of them. */
class Fleet {
  nowMs = Date.UTC(2030, 0, 1);
  readonly store = new MemoryStore({ now: () => this.nowMs });

  /** One more, which has not looked yet, and the keys that it changed to. */
  node(options: Partial<SessionTicketsOptions> = {}): { tickets: SessionTickets; changes: Buffer[] } {
    const changes: Buffer[] = [];
    const onChange = (keys: Buffer): void => void changes.push(keys);
    return {
      tickets: new SessionTickets({ store: this.store, secret, onChange, log: silent, now: () => this.nowMs, ...options }),
      changes,
    };
  }

  /** Lets each look whenever it wants to, until so much time has passed. */
  async pass(ms: number, nodes: readonly SessionTickets[]): Promise<void> {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      const times = await Promise.all(nodes.map((tickets) => tickets.look()));
      assert.ok(
        times.every((atMs) => atMs > this.nowMs && atMs <= this.nowMs + MINUTE_MS),
        "it looks at least once a minute, and not all the time",
      );
      this.nowMs = Math.min(endMs, ...times);
    }
    await Promise.all(nodes.map((tickets) => tickets.look()));
  }

  /** The moments of the keys in the store, in hours from now. */
  async hours(): Promise<number[]> {
    const { keys } = JSON.parse((await this.store.get(KEY))!.value) as { keys: { fromMs: number }[] };
    return keys.map(({ fromMs }) => (fromMs - this.nowMs) / HOUR_MS);
  }
}

describe("the keys of session tickets", () => {
  test("are the same for all nodes of a store, also for one that comes later", async () => {
    const fleet = new Fleet();
    const nodes = [fleet.node(), fleet.node(), fleet.node()];
    const before = nodes.map(({ tickets }) => tickets.inForce.toString("hex"));
    assert.equal(new Set(before).size, 3);
    await fleet.pass(
      5000,
      nodes.map(({ tickets }) => tickets),
    );
    const late = fleet.node();
    await late.tickets.look();
    for (const { tickets, changes } of [...nodes, late]) {
      assert.equal(tickets.inForce.length, 48);
      assert.deepEqual(tickets.inForce, nodes[0]!.tickets.inForce);
      assert.deepEqual(changes, [tickets.inForce], "it is told once");
    }
  });

  test("are written by one node, however many look at once", async () => {
    const fleet = new Fleet();
    const nodes = Array.from({ length: 20 }, () => fleet.node().tickets);
    await fleet.pass(5000, nodes);
    assert.equal(new Set(nodes.map(({ inForce }) => inForce.toString("hex"))).size, 1);
    const { revision } = (await fleet.store.get(KEY))!;
    await fleet.pass(HOUR_MS, nodes);
    assert.equal((await fleet.store.get(KEY))!.revision, revision, "and left alone while they are good");
  });

  test("change every twelve hours, announced an hour before, on all nodes at one moment", async () => {
    const fleet = new Fleet();
    const nodes = [fleet.node(), fleet.node()];
    const all = nodes.map(({ tickets }) => tickets);
    await fleet.pass(11 * HOUR_MS - MINUTE_MS, all);
    assert.deepEqual(await fleet.hours(), [-11 + 1 / 60]);
    const first = all[0]!.inForce;
    await fleet.pass(2 * MINUTE_MS, all);
    assert.deepEqual((await fleet.hours()).map(Math.round), [-11, 1]);
    await fleet.pass(59 * MINUTE_MS - 1, all);
    assert.deepEqual(
      nodes.map(({ changes }) => changes.length),
      [1, 1],
    );
    await fleet.pass(1, all);
    assert.deepEqual(
      nodes.map(({ changes }) => changes.length),
      [2, 2],
    );
    assert.deepEqual(all[0]!.inForce, all[1]!.inForce);
    assert.notDeepEqual(all[0]!.inForce, first);
    await fleet.pass(MINUTE_MS, all);
    assert.equal((await fleet.hours()).length, 1, "those before are kept no longer");
    await fleet.pass(48 * HOUR_MS, all);
    assert.deepEqual(
      nodes.map(({ changes }) => changes.length),
      [6, 6],
    );
  });

  test("change soon where nobody was there to announce it", async () => {
    const fleet = new Fleet();
    const first = fleet.node();
    await first.tickets.look();
    fleet.nowMs += 100 * HOUR_MS;
    const nodes = [fleet.node(), fleet.node()];
    await fleet.pass(
      2 * MINUTE_MS,
      nodes.map(({ tickets }) => tickets),
    );
    for (const { tickets } of nodes) assert.deepEqual(tickets.inForce, first.tickets.inForce, "all have time to learn of the next ones");
    await fleet.pass(
      2 * MINUTE_MS,
      nodes.map(({ tickets }) => tickets),
    );
    for (const { tickets } of nodes) assert.notDeepEqual(tickets.inForce, first.tickets.inForce);
    assert.deepEqual(nodes[0]!.tickets.inForce, nodes[1]!.tickets.inForce);
  });

  test("wait for a node that is writing them, and are written by another when it does not come back", async () => {
    const fleet = new Fleet();
    await fleet.store.lease(KEY, 10_000);
    const { tickets, changes } = fleet.node();
    assert.equal(await tickets.look(), fleet.nowMs + 1000);
    assert.equal(changes.length, 0);
    await fleet.pass(11_000, [tickets]);
    assert.equal(changes.length, 1);
  });

  test("change as announced while the store is out of reach, and the failure is logged once", async () => {
    const fleet = new Fleet();
    const { log, messages } = recordingLog();
    const { tickets, changes } = fleet.node({ log });
    await fleet.pass(11.5 * HOUR_MS, [tickets]);
    await fleet.store.close();
    await fleet.pass(2 * HOUR_MS, [tickets]);
    assert.equal(changes.length, 2);
    assert.equal(messages.length, 1);
  });

  test("are each node's own as long as the store cannot be had", async () => {
    const fleet = new Fleet();
    await fleet.store.close();
    const { tickets, changes } = fleet.node();
    await tickets.look();
    assert.equal(changes.length, 0);
    assert.equal(tickets.inForce.length, 48);
  });

  test("are sealed in the store, for this entry alone", async () => {
    const fleet = new Fleet();
    const { tickets } = fleet.node();
    await tickets.look();
    const { value } = (await fleet.store.get(KEY))!;
    const { keys } = JSON.parse(value) as { keys: { sealed: string }[] };
    assert.deepEqual(Object.keys(keys[0]!), ["fromMs", "sealed"]);
    for (const form of ["base64", "base64url", "hex"] as const) assert.ok(!value.includes(tickets.inForce.toString(form)));
    assert.throws(() => secret.open("certs/other", keys[0]!.sealed), { code: "certificate_unavailable" });
  });

  test("are left alone by a node with another secret, which says so and has its own, until nobody has any use for them", async () => {
    const fleet = new Fleet();
    await fleet.node().tickets.look();
    const written = await fleet.store.get(KEY);
    const { log, messages } = recordingLog();
    const stranger = fleet.node({ log, secret: await secretOf(randomBytes(32).toString("base64")) });
    await fleet.pass(23 * HOUR_MS, [stranger.tickets]);
    assert.deepEqual(await fleet.store.get(KEY), written);
    assert.deepEqual(stranger.changes, []);
    assert.equal(messages.length, 1);
    assert.match(messages[0]!, /sealed with the secret/);
    await fleet.pass(2 * HOUR_MS, [stranger.tickets]);
    assert.equal(stranger.changes.length, 1);
  });

  for (const [what, value] of [
    ["is not JSON", "{"],
    ["is of another form", '{"keys":[{"fromMs":"now"}]}'],
    ["is empty", '{"keys":[]}'],
    ["is of a clock that was wrong", null],
  ] as const) {
    test(`are made anew where the entry ${what}`, async () => {
      const fleet = new Fleet();
      const ahead = (): number => fleet.nowMs + 1000 * HOUR_MS;
      if (value === null) await fleet.node({ now: ahead }).tickets.look();
      else await fleet.store.put(KEY, value);
      const { tickets, changes } = fleet.node();
      await tickets.look();
      assert.equal(changes.length, 1);
      assert.deepEqual(await fleet.hours(), [0]);
    });
  }

  test("are nowhere in what is logged or thrown when sealing fails", async () => {
    const fleet = new Fleet();
    const { log, messages } = recordingLog();
    const seal = (): string => {
      throw new ProxyError("secret_unavailable", "there is no secret");
    };
    const { tickets, changes } = fleet.node({ log, secret: { seal, open: (key, sealed) => secret.open(key, sealed) } });
    await tickets.look();
    assert.deepEqual(messages, ["there is no secret"]);
    assert.deepEqual(changes, []);
    assert.notEqual(await fleet.store.lease(KEY, 1000), null, "the lease was given back");
  });
});

describe("a session", () => {
  const scratch = new ScratchDirectory();
  const running: { [Symbol.asyncDispose](): Promise<void> }[] = [];
  after(async () => {
    for (const one of running) await one[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  /** A process that serves TLS with the keys of the store in the scratch directory; the port that it listens on. */
  async function startProcess(): Promise<number> {
    const file = fileURLToPath(new URL("ticket-server.ts", import.meta.url));
    const child = spawn(process.execPath, [file, scratch.path], {
      env: { ...process.env, KITTIWAKE_SECRET: environment },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    running.push({
      [Symbol.asyncDispose]: async () => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exited = once(child, "exit");
        child.kill("SIGKILL");
        await exited;
      },
    });
    const exited = once(child, "exit").then(([code]) => assert.fail(`the process ended with exit code ${code}`));
    const [port] = (await Promise.race([once(child, "message"), exited])) as [number];
    exited.catch(() => {});
    return port;
  }

  async function sClient(port: number, version: string, ...options: string[]): Promise<string> {
    const line = ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "hello.localhost", version, "-ign_eof", ...options];
    const client = promisify(execFile)("openssl", line);
    client.child.stdin!.end();
    return (await client).stdout;
  }

  for (const version of ["-tls1_2", "-tls1_3"]) {
    test(`resumes in another process (openssl s_client ${version})`, async () => {
      const [one, other] = await Promise.all([startProcess(), startProcess()]);
      const file = join(scratch.path, `session${version}`);
      assert.match(await sClient(one, version, "-sess_out", file), /^New, /m);
      assert.match(await sClient(other, version, "-sess_in", file), /^Reused, /m);
    });
  }
});
