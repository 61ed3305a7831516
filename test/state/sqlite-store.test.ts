// The embedded store keeps the contract, and what only it promises: a private file, no harm to files of others, bounded
// tombstones, failures that name the file and leave the store usable.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test, type TestContext } from "node:test";
import { translated } from "../../src/state/sqlite-failure.ts";
import type { Store } from "../../src/state/store.ts";
import { rejectsWith, startWatch, take } from "./contract/subject.ts";
import { stateDirectory } from "./fixtures/state-directory.ts";
import { storeContract } from "./store-contract.ts";

storeContract(
  "sqlite",
  (t, options) => {
    const { open } = stateDirectory(t);
    return { store: open(options), another: () => open(options) };
  },
  { shared: true },
);

describe("the state file", { timeout: 10_000 }, () => {
  test("only its owner may read it, the files beside it, and the directory made for it", async (t) => {
    const { path, open } = stateDirectory(t);
    await open().put("a", "1");
    assert.equal(modeOf(dirname(path)), 0o700);
    for (const file of [path, `${path}-wal`, `${path}-shm`, `${path}-changed`]) assert.equal(modeOf(file), 0o600, file);
  });

  test("an existing file that others may read is closed to them, an existing directory is left as it is", async (t) => {
    const { path, open } = stateDirectory(t);
    mkdirSync(dirname(path), { mode: 0o755 });
    chmodSync(dirname(path), 0o755);
    await open().close();
    chmodSync(path, 0o644);
    open();
    for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(modeOf(file), 0o600, file);
    assert.equal(modeOf(dirname(path)), 0o755);
  });

  test("it is a WAL database of a version of its own", async (t) => {
    const { open, raw } = withRaw(t);
    open();
    const pragma = (name: string) => raw().prepare(`PRAGMA ${name}`).get()?.[name];
    assert.equal(pragma("journal_mode"), "wal");
    assert.equal(pragma("user_version"), 1);
    assert.equal(pragma("application_id"), 0x4b495457);
  });

  test("a file that a newer version wrote is refused and left alone", async (t) => {
    const { path, open, raw } = withRaw(t);
    await open().close();
    raw().exec("PRAGMA user_version = 2");
    assert.throws(() => open(), {
      code: "store_unavailable",
      message: `the state store "${path}" has schema version 2, this program knows 1: run the newer Kittiwake that wrote it`,
    });
  });

  test("another program's database is refused and left alone", async (t) => {
    const { path, open, raw } = withRaw(t);
    mkdirSync(dirname(path));
    raw().exec("CREATE TABLE precious (x); PRAGMA journal_mode = DELETE");
    chmodSync(path, 0o644);
    const before = readFileSync(path);
    assert.throws(() => open(), { code: "store_unavailable", message: /is a database of another program: choose another path/ });
    assert.deepEqual(readFileSync(path), before);
    assert.equal(modeOf(path), 0o644);
  });

  test("what is not a database, and what cannot be a file, is refused by name", async (t) => {
    const { directory, path, open } = stateDirectory(t);
    mkdirSync(dirname(path));
    writeFileSync(path, "this is not a database, but it is long enough to be looked at by one".repeat(100));
    const refusal = (at: string, message: RegExp) => {
      assert.throws(
        () => open({ path: at }),
        (error) =>
          error instanceof Error &&
          "code" in error &&
          error.code === "store_unavailable" &&
          error.message.includes(`"${at}"`) &&
          message.test(error.message) &&
          error.cause instanceof Error,
      );
    };
    refusal(path, /is not an SQLite database/);
    refusal(directory, /cannot be opened/);
    refusal(`${path}/below-a-file.db`, /cannot be opened/);
  });

  test("no more tombstones are kept than asked for, and one too many from before goes with the next", async (t) => {
    const { open, raw } = withRaw(t);
    const store = open({ maxTombstones: 5 });
    for (let i = 0; i < 20; i++) {
      await store.put(`a/${i}`, "x");
      await store.delete(`a/${i}`);
    }
    const tombstones = () => raw().prepare("SELECT count(*) AS n, min(revision) AS oldest FROM entries WHERE value IS NULL").get();
    assert.deepEqual({ ...tombstones() }, { n: 5, oldest: 32 });
    await store.close();
    await open({ maxTombstones: 2 }).put("b", "x");
    assert.deepEqual({ ...tombstones() }, { n: 2, oldest: 38 });
  });
});

describe("watches across processes", { timeout: 10_000 }, () => {
  test("a change that nobody signalled is seen at the next poll", async (t) => {
    const { open, raw } = withRaw(t);
    const watch = startWatch(t, open({ pollMs: 5 }), "", 0);
    const pending = watch.next.next();
    raw().exec("BEGIN IMMEDIATE; INSERT INTO entries VALUES (1, 'a', 'x'); UPDATE counters SET revision = 1; COMMIT");
    assert.deepEqual((await pending).value, { key: "a", value: "x", revision: 1 });
  });

  test("a store that breaks while a watch waits is told to the watch's consumer", async (t) => {
    const { open, raw } = withRaw(t);
    const watch = startWatch(t, open({ pollMs: 5 }), "", 0);
    const pending = watch.next.next();
    raw().exec("DROP TABLE counters");
    await rejectsWith("store_unavailable", pending, /no such table/);
  });
});

describe("failures of the state file", { timeout: 10_000 }, () => {
  test("a full store refuses to grow, goes on reading and deleting, and can be used again", async (t) => {
    const { path, open } = stateDirectory(t);
    const store = open({ maxBytes: 400_000 });
    const watch = startWatch(t, store, "", 0);
    const value = "x".repeat(20_000);
    let stored = 0;
    const full = async () => {
      for (; ; stored++) await store.put(`a/${stored}`, value);
    };
    await rejectsWith("store_unavailable", full(), new RegExp(`^the state store "${path}" cannot grow, .* free some space`));
    assert.ok(stored > 10);
    assert.equal(await store.revision(), stored, "a refused write takes no revision");
    assert.equal(await store.get(`a/${stored}`), null);
    assert.equal((await store.list("a/")).length, stored);

    await store.put("a/0", "small");
    await store.delete("a/1");
    assert.equal(await store.put("a/new", value), stored + 3);
    assert.equal((await take(watch.next, stored + 1)).at(-1)?.key, "a/new");
    await rejectsWith("store_unavailable", full());
  });

  test("a write that another process holds up for too long fails; reading goes on, and so does writing afterwards", async (t) => {
    const { path, open, raw } = withRaw(t);
    const store = open({ busyTimeoutMs: 20 });
    await store.put("a", "1");
    const other = raw();
    other.exec("BEGIN IMMEDIATE");
    await rejectsWith("store_unavailable", store.put("a", "2"), new RegExp(`"${path}" is locked by another process`));
    await rejectsWith("store_unavailable", store.lease("l", 1000), /is locked/);
    assert.equal((await store.get("a"))?.value, "1");
    other.exec("ROLLBACK");
    assert.equal(await store.put("a", "3"), 2);
  });

  test("a damaged file fails reads, writes and watches with its name, and ends nothing else", async (t) => {
    const { path, open } = stateDirectory(t);
    const before = open();
    for (let i = 0; i < 200; i++) await before.put(`a/${i}`, "x".repeat(1000));
    await before.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 4096 * 6);
    writeFileSync(path, bytes);

    const store = open();
    const damaged = new RegExp(`^the state store "${path}" is damaged: .* restore a copy`);
    await rejectsWith("store_unavailable", store.list(""), damaged);
    await rejectsWith("store_unavailable", rewriteAll(store), damaged);
    await rejectsWith("store_unavailable", take(startWatch(t, store, "", 0).next, 200), damaged);
    assert.equal(await store.revision(), 200);
  });

  test("a read-only file is reported as one", (t) => {
    const { path, open } = stateDirectory(t);
    open();
    const readOnly = new DatabaseSync(path, { readOnly: true });
    t.after(() => readOnly.close());
    assert.throws(() => translated(path, () => readOnly.exec("DELETE FROM entries")), {
      code: "store_unavailable",
      message: `the state store "${path}" is read-only: make the file and its directory writable for this user (SQLite 8: attempt to write a readonly database)`,
    });
  });

  test("what is no failure of the file is passed on as it is", () => {
    const bug = new TypeError("a bug");
    assert.throws(
      () =>
        translated("state.db", () => {
          throw bug;
        }),
      (error) => error === bug,
    );
  });
});

/** Also gives a bare connection to the file, as another program would have it. */
function withRaw(t: TestContext) {
  const state = stateDirectory(t);
  const raw = (): DatabaseSync => {
    const database = new DatabaseSync(state.path);
    t.after(() => database.close());
    return database;
  };
  return { ...state, raw };
}

async function rewriteAll(store: Store): Promise<void> {
  for (let i = 0; i < 200; i++) await store.put(`a/${i}`, "y");
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}
