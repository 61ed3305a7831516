// The identity of a data directory: tells the machines of this node from those of another one on the same computer.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ProxyError } from "../core/errors.ts";

/** Reads the identity, or makes one for a new data directory. Throws `store_unavailable`. */
export function nodeIdentity(dataDir: string): string {
  const path = join(dataDir, "node-id");
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    try {
      // Whoever is first writes it; the other of two nodes that start at once reads it.
      writeFileSync(path, `${randomBytes(8).toString("hex")}\n`, { flag: "wx", mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    throw new ProxyError("store_unavailable", `data directory "${dataDir}" cannot be used: ${(cause as Error).message}`, { cause });
  }
}
