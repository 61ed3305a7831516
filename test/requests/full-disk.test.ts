// A node whose disk is full: it serves, wakes and puts to sleep from memory, says so once, and writes again when there is room.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SqliteStore } from "../../src/state/sqlite-store.ts";
import { ask, processApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";

const DISK = "8m";
const PIECE = Buffer.alloc(64 * 1024);

const dir = mkdtempSync(join(tmpdir(), "kittiwake-full-"));
execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK},mode=0700`, "kittiwake-test", dir]);
after(() => {
  execFileSync("umount", ["--lazy", dir]);
  rmSync(dir, { recursive: true });
});

test("a full disk stops nobody", async () => {
  const app = processApp("hello", { autoStop: "suspend" });
  await using node = await startTestNode({ apps: { hello: app }, dir });
  const { control } = node.node;
  assert.equal((await ask(node.httpPort, "hello")).status, 200);
  const filler = fill(join(dir, "filler"));
  const [machine] = control.machines("hello");

  for (const put of ["suspend", "stop", "suspend"] as const) {
    await control[put]("hello", machine!.id);
    const state = put === "stop" ? "stopped" : "suspended";
    await eventually(() => control.machines("hello")[0]!.state === state, `the machine to be ${state}`);
    assert.equal((await ask(node.httpPort, "hello")).status, 200);
  }
  rmSync(filler);
  const store = new SqliteStore({ path: join(dir, "data/state.db") });
  const stored = async (): Promise<string> => (await store.list("machines/")).map(({ value }) => value).join();
  await eventually(async () => (await stored()).includes('"started"'), "the machine's record to be written again");
  await store.close();
});

/** Writes until nothing more fits; returns the file. */
function fill(path: string): string {
  const file = openSync(path, "w");
  for (let bytes = PIECE.length; bytes >= 1; bytes = Math.floor(bytes / 2)) {
    try {
      for (;;) writeSync(file, PIECE, 0, bytes);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
  }
  closeSync(file);
  return path;
}
