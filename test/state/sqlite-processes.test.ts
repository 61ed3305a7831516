// The embedded store under several real processes: all open it at once, one is killed in the middle of writing.

import assert from "node:assert/strict";
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import type { Readable, Writable } from "node:stream";
import { describe, test, type TestContext } from "node:test";
import { startWatch, take } from "./contract/subject.ts";
import { stateDirectory } from "./fixtures/state-directory.ts";

describe("several processes on one state file", { timeout: 20_000 }, () => {
  test("processes that create it at the same moment share it, and no revision is given twice", async (t) => {
    const { path, open } = stateDirectory(t);
    const children = ["p1", "p2", "p3", "p4"].map((name) => start(t, "create-keys.ts", path, name, "50"));
    const outputs = children.map((child) => createInterface(child.stdout)[Symbol.asyncIterator]());
    for (const output of outputs) assert.equal((await output.next()).value, "ready");
    for (const child of children) child.stdin.write("go\n");
    const revisions: number[] = [];
    for (const output of outputs) revisions.push(...(JSON.parse((await output.next()).value as string) as number[]));

    assert.deepEqual(
      revisions.sort((a, b) => a - b),
      Array.from({ length: 200 }, (_, index) => index + 1),
    );
    const store = open();
    assert.equal(await store.revision(), 200);
    assert.equal((await store.list("p3/")).length, 50);
  });

  test("a watch sees what another process writes, as it is written", async (t) => {
    const { path, open } = stateDirectory(t);
    const watch = startWatch(t, open(), "n/", 0);
    const child = start(t, "write-until-killed.ts", path);
    const changes = await take(watch.next, 300);
    await kill(child);
    for (const [index, change] of changes.entries()) assert.ok(index === 0 || change.revision > (changes[index - 1]?.revision ?? 0));
  });

  test("after kill -9 in the middle of writing every acknowledged write is there, none is torn, and revisions continue", async (t) => {
    const { path, open } = stateDirectory(t);
    for (let round = 0; round < 4; round++) {
      const child = start(t, "write-until-killed.ts", path);
      const acknowledged: Acknowledged[] = [];
      const enough = 100 + Math.floor(Math.random() * 200);
      for await (const line of createInterface(child.stdout)) {
        const [revision, key, number] = line.split(" ") as [string, string, string];
        acknowledged.push({ revision: Number(revision), key, number: number === "-" ? null : Number(number) });
        if (acknowledged.length === enough) child.kill("SIGKILL");
      }

      assert.equal(integrity(path), "ok");
      const store = open();
      const last = acknowledged.at(-1)?.revision ?? 0;
      const reached = await store.revision();
      assert.ok(reached === last || reached === last + 1, `at ${reached}, the last acknowledged was ${last}`);
      const entries = new Map((await store.list("n/")).map((entry) => [entry.key, entry]));
      for (const { value } of entries.values()) JSON.parse(value);
      // The write that was under way is there or not: nobody was told.
      const underWay = `n/${acknowledged.length % 50}`;
      for (const { revision, key, number } of new Map(acknowledged.map((write) => [write.key, write])).values()) {
        if (reached > last && key === underWay) continue;
        const expected = number === null ? undefined : { key, value: valueOf(number), revision };
        assert.deepEqual(entries.get(key), expected, `${key} was lost`);
      }
      assert.equal(await store.put("round", String(round)), reached + 1);
      await store.close();
    }
  });
});

interface Acknowledged {
  readonly revision: number;
  readonly key: string;
  /** null for a deletion. */
  readonly number: number | null;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

function start(t: TestContext, script: string, ...args: string[]): Child {
  const child = spawn(process.execPath, [join(import.meta.dirname, "fixtures", script), ...args], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => kill(child));
  return child;
}

async function kill(child: Child): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

function integrity(path: string): unknown {
  const database = new DatabaseSync(path);
  try {
    return database.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
  } finally {
    database.close();
  }
}

/** As write-until-killed.ts makes it. */
function valueOf(number: number): string {
  return JSON.stringify({ number, fill: "x".repeat((number * 37) % 20_000) });
}
