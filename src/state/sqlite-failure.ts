// Turns what SQLite and the file system report into `store_unavailable`, with the file and the next step named. The one place
// that knows SQLite's result codes (https://sqlite.org/rescode.html).

import { ProxyError } from "../core/errors.ts";

const ADVICE: Readonly<Record<number, string>> = {
  3: "may not be used by this user: check who owns it", // SQLITE_PERM
  5: "is locked by another process for too long: end the one that holds it", // SQLITE_BUSY
  6: "is locked by another process for too long: end the one that holds it", // SQLITE_LOCKED
  8: "is read-only: make the file and its directory writable for this user", // SQLITE_READONLY
  10: "cannot be read or written: check the disk and its free space", // SQLITE_IOERR
  11: "is damaged: stop the node, move the file away and restore a copy of it", // SQLITE_CORRUPT
  13: "cannot grow, the disk or the size it may have is full: free some space", // SQLITE_FULL
  14: "cannot be opened: check that it is a file that this user may write", // SQLITE_CANTOPEN
  26: "is not an SQLite database: move the file away or choose another path", // SQLITE_NOTADB
};

/** Runs `work` on the file at `path`. A failure of SQLite or the file system is thrown as `store_unavailable`, others as they are. */
export function translated<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw asStoreFailure(path, error);
  }
}

/** Did this fail because another process holds the lock? (SQLITE_BUSY) */
export function isLocked(error: unknown): boolean {
  return resultCode(error) === 5;
}

function asStoreFailure(path: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = resultCode(error);
  if (code !== null) {
    const advice = ADVICE[code] ?? "cannot be used";
    return new ProxyError("store_unavailable", `the state store "${path}" ${advice} (SQLite ${code}: ${error.message})`, { cause: error });
  }
  if ("syscall" in error) {
    return new ProxyError("store_unavailable", `the state store "${path}" cannot be opened (${error.message})`, { cause: error });
  }
  return error;
}

function resultCode(error: unknown): number | null {
  if (!(error instanceof Error && "errcode" in error && typeof error.errcode === "number")) return null;
  // The low byte is the result code, the rest says more of it.
  return error.errcode & 0xff;
}
