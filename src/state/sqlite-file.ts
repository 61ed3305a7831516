// Opens the file of the embedded store: permissions, journal mode, schema and its version. sqlite-store.ts works on what comes
// out of here.

import { chmodSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ProxyError } from "../core/errors.ts";
import { isLocked } from "./sqlite-failure.ts";

/** In the file's header, so that another program's database is recognised and left alone: "KITW". */
const APPLICATION_ID = 0x4b495457;

/** `user_version` of the file. Raise it with every change of SCHEMA, and add the step from the version before. */
const SCHEMA_VERSION = 1;

// `revision` is the row id: a watch reads the table in the order it is stored in, and `key` stands before `value` so that the
// pages of a large value are not read to see whose it is. A tombstone is a row whose value is NULL.
const SCHEMA = `
  CREATE TABLE entries (
    revision INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE,
    value    TEXT
  ) STRICT;
  CREATE INDEX tombstones ON entries (revision) WHERE value IS NULL;

  CREATE TABLE leases (
    name          TEXT PRIMARY KEY,
    token         INTEGER NOT NULL,
    expires_at_ms REAL NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE counters (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    revision   INTEGER NOT NULL, -- of the last change
    compacted  INTEGER NOT NULL, -- of the newest tombstone that was removed
    tombstones INTEGER NOT NULL, -- how many there are
    token      INTEGER NOT NULL  -- the last one given to a lease
  ) STRICT;
  INSERT INTO counters VALUES (1, 0, 0, 0, 0);

  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

export interface StateFileOptions {
  /** How long to wait for another process's write before giving up. */
  readonly busyTimeoutMs: number;
  /** The file grows no larger than this; null: as large as the disk allows. */
  readonly maxBytes: number | null;
}

/** Opens or creates the file. Throws what SQLite or the file system throws, and `store_unavailable` for a file that is not ours. */
export function openStateFile(path: string, options: StateFileOptions): DatabaseSync {
  createPrivate(path);
  const database = new DatabaseSync(path, { timeout: options.busyTimeoutMs });
  try {
    // Before anything is changed: a path given by mistake must not cost another program its data.
    assertOurs(database, path);
    makePrivate(path);
    enterWalMode(database, path, options.busyTimeoutMs);
    // NORMAL: a commit survives the end of the process at any point; power loss may take the last commits, never half of one.
    database.exec("PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304");
    createSchema(database);
    if (options.maxBytes !== null) {
      const pages = Math.max(1, Math.floor(options.maxBytes / pragma(database, "page_size")));
      database.exec(`PRAGMA max_page_count = ${pages}`);
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** The store holds private keys: only its owner may read it. SQLite gives the files beside it (-wal, -shm) the same mode. */
function createPrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    // An existing file must not be opened here: closing it again would drop the POSIX locks of every handle that this process
    // has on it (https://sqlite.org/howtocorrupt.html, section 2.2).
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

/** For a file that was there before, such as a restored copy. */
function makePrivate(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats !== undefined && (stats.mode & 0o077) !== 0) chmodSync(file, 0o600);
  }
}

/** Going over to WAL fails at once, without the busy timeout, while another process does the same. */
function enterWalMode(database: DatabaseSync, path: string, busyTimeoutMs: number): void {
  const deadline = performance.now() + busyTimeoutMs;
  for (;;) {
    try {
      const row = database.prepare("PRAGMA journal_mode = WAL").get();
      if (row?.["journal_mode"] === "wal") return;
      throw new ProxyError("store_unavailable", `the state store "${path}" needs a file system with shared memory, not one on the network`);
    } catch (error) {
      if (!isLocked(error) || performance.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function createSchema(database: DatabaseSync): void {
  if (!isEmpty(database)) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    // Asked again, now that no other process can be creating it.
    if (isEmpty(database)) database.exec(SCHEMA);
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function assertOurs(database: DatabaseSync, path: string): void {
  if (isEmpty(database)) return;
  if (pragma(database, "application_id") !== APPLICATION_ID) {
    throw new ProxyError("store_unavailable", `"${path}" is a database of another program: choose another path for the state store`);
  }
  const version = pragma(database, "user_version");
  if (version > SCHEMA_VERSION) {
    throw new ProxyError(
      "store_unavailable",
      `the state store "${path}" has schema version ${version}, this program knows ${SCHEMA_VERSION}: run the newer Kittiwake that wrote it`,
    );
  }
}

function isEmpty(database: DatabaseSync): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined;
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}
