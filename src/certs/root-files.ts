// The local CA's two files. They appear together or not at all: the pair is written to a directory of its own, which is then renamed
// into place. So a crash leaves no half of a CA behind, and of several processes that start at once, one wins and the others see it.

import { chmod, mkdir, mkdtemp, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

import { ProxyError } from "../core/errors.ts";
import { syncDirectory, writeDurably } from "./durable-file.ts";

export interface RootPair {
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

export const CERTIFICATE_FILE = "root.pem";
export const KEY_FILE = "root-key.pem";

/** The pair, or null when neither file exists. One without the other throws `certificate_unavailable`. */
export async function readRoot(directory: string): Promise<RootPair | null> {
  const [certificatePem, privateKeyPem] = await Promise.all([
    readIfExists(join(directory, CERTIFICATE_FILE)),
    readIfExists(join(directory, KEY_FILE)),
  ]);
  if (certificatePem === null && privateKeyPem === null) return null;
  if (certificatePem === null || privateKeyPem === null) {
    const missing = certificatePem === null ? CERTIFICATE_FILE : KEY_FILE;
    throw new ProxyError("certificate_unavailable", `the local CA in "${directory}" lacks ${missing}; ${REMEDY}`);
  }
  return { certificatePem, privateKeyPem };
}

/** Writes a new pair; false when something is there already, such as the pair of a process that was faster. */
export async function writeRoot(directory: string, pair: RootPair): Promise<boolean> {
  // A link is followed, so that what is replaced is the empty directory behind it, not the link.
  const target = await realpath(directory).catch(() => directory);
  const parent = dirname(target);
  let draft: string | null = null;
  try {
    await mkdir(parent, { recursive: true });
    draft = await mkdtemp(`${target}.new-`);
    await chmod(draft, 0o700);
    await writeDurably(join(draft, KEY_FILE), pair.privateKeyPem, 0o600);
    await writeDurably(join(draft, CERTIFICATE_FILE), pair.certificatePem, 0o644);
    await syncDirectory(draft);
    await rename(draft, target);
    await syncDirectory(parent);
    return true;
  } catch (cause) {
    if (draft !== null) await rm(draft, { recursive: true, force: true });
    const { code, message } = cause as NodeJS.ErrnoException;
    // rename(2) replaces a directory only if it is empty.
    if (code === "ENOTEMPTY" || code === "EEXIST") return false;
    throw new ProxyError("certificate_unavailable", `cannot write the local CA to "${directory}": ${message}`, { cause });
  }
}

/** Can others than its owner read the key? */
export async function isKeyExposed(directory: string): Promise<boolean> {
  return ((await stat(join(directory, KEY_FILE))).mode & 0o077) !== 0;
}

/** What an operator does about a CA that cannot be used. It is never replaced unasked: clients trust it. */
export const REMEDY =
  "restore it from a backup, or move the directory away to have a new CA made, which clients must then be told to trust";

async function readIfExists(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    throw new ProxyError("certificate_unavailable", `cannot read the local CA's "${path}": ${message}`, { cause });
  }
}
