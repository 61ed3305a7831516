// The SQL of the embedded store, prepared once and given types. No decisions here: sqlite-store.ts makes them. Each function is one
// statement, so what it returns is from one moment. All throw what SQLite throws.

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { LeaseRow } from "./leases.ts";
import type { Change, Entry } from "./store.ts";
import type { Look } from "./watch.ts";

/** The last change of a key. */
export interface KeyState {
  readonly revision: number;
  readonly deleted: boolean;
}

/** The one row of the table `counters`; sqlite-file.ts explains the columns. */
export interface Counters {
  readonly revision: number;
  readonly compacted: number;
  readonly tombstones: number;
}

export type Statements = ReturnType<typeof prepareStatements>;

export function prepareStatements(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);

  const begin = prepare("BEGIN IMMEDIATE");
  const commit = prepare("COMMIT");
  const rollback = prepare("ROLLBACK");
  const head = prepare("SELECT revision FROM counters");
  const counters = prepare("SELECT revision, compacted, tombstones FROM counters");
  const saveCounters = prepare("UPDATE counters SET revision = ?, compacted = ?, tombstones = ?");
  const get = prepare("SELECT key, value, revision FROM entries WHERE key = ? AND value IS NOT NULL");
  const list = prepare("SELECT key, value, revision FROM entries WHERE key >= ? AND key < ? AND value IS NOT NULL ORDER BY key");
  const keyState = prepare("SELECT revision, value IS NULL AS deleted FROM entries WHERE key = ?");
  const save = prepare(
    "INSERT INTO entries (revision, key, value) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, value = excluded.value",
  );
  const removeOldestTombstone = prepare(
    "DELETE FROM entries WHERE revision = (SELECT min(revision) FROM entries WHERE value IS NULL) RETURNING revision",
  );
  // NOT INDEXED leaves the row id: the rows after the position, in order, up to the first of this prefix.
  const look = prepare(`
    SELECT head.revision AS head, head.compacted, entry.revision, entry.key, entry.value
    FROM counters AS head LEFT JOIN entries AS entry ON entry.revision = (
      SELECT revision FROM entries NOT INDEXED WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision LIMIT 1
    )`);
  const findLease = prepare("SELECT name, token, expires_at_ms AS expiresAtMs FROM leases WHERE name = ?");
  const saveLease = prepare("INSERT OR REPLACE INTO leases (name, token, expires_at_ms) VALUES (?, ?, ?)");
  const removeLease = prepare("DELETE FROM leases WHERE name = ?");
  const nextToken = prepare("UPDATE counters SET token = token + 1 RETURNING token");

  return {
    begin: (): void => void begin.run(),
    commit: (): void => void commit.run(),
    rollback: (): void => void rollback.run(),

    head: (): number => only<{ revision: number }>(head.get()).revision,
    counters: (): Counters => only<Counters>(counters.get()),
    saveCounters: (row: Counters): void => void saveCounters.run(row.revision, row.compacted, row.tombstones),

    get: (key: string): Entry | null => first<Entry>(get.get(key)),
    list: (prefix: string): Entry[] => list.all(...keyRange(prefix)).map((row) => plain<Entry>(row)),
    keyState(key: string): KeyState | null {
      const row = first<{ revision: number; deleted: number }>(keyState.get(key));
      return row && { revision: row.revision, deleted: row.deleted === 1 };
    },
    save: (change: Change): void => void save.run(change.revision, change.key, change.value),
    /** Returns its revision. There must be one. */
    removeOldestTombstone: (): number => only<{ revision: number }>(removeOldestTombstone.get()).revision,

    look(prefix: string, after: number): Look {
      const row = only<Nullable<Change> & { head: number; compacted: number }>(look.get(after, ...keyRange(prefix)));
      const { head, compacted, revision, key, value } = row;
      return { next: revision === null || key === null ? null : { key, value, revision }, head, compacted };
    },

    findLease: (name: string): LeaseRow | null => first<LeaseRow>(findLease.get(name)),
    saveLease: (row: LeaseRow): void => void saveLease.run(row.name, row.token, row.expiresAtMs),
    removeLease: (name: string): void => void removeLease.run(name),
    nextToken: (): number => only<{ token: number }>(nextToken.get()).token,
  };
}

type Nullable<Row> = { readonly [Column in keyof Row]: Row[Column] | null };

/** First key under the prefix, and first key after all of them. Keys are ASCII; "0" is the character after "/". */
function keyRange(prefix: string): [from: string, to: string] {
  return prefix === "" ? ["", "\x7f"] : [prefix, `${prefix.slice(0, -1)}0`];
}

function first<Row>(row: object | undefined): Row | null {
  return row === undefined ? null : plain<Row>(row);
}

/** Rows come without a prototype and without a type; the SQL beside each call says what is in them. */
function plain<Row>(row: object): Row {
  return { ...row } as Row;
}

/** For statements that always have a row. */
function only<Row>(row: object | undefined): Row {
  return row as Row;
}
