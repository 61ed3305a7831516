// Files that must survive the loss of power whole: what is written has reached the disk, and so has its name.

import { open } from "node:fs/promises";

/** Writes a new file; throws EEXIST where there is one. */
export async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, "wx", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes new, renamed and removed names in the directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
