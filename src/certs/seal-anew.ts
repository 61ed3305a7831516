// What is sealed in the state store, whoever put it there: found, and sealed anew with the key that seals now. Safe to interrupt and to
// repeat, and beside nodes that write: an entry that changed meanwhile is looked at again.

import { ProxyError } from "../core/errors.ts";
import type { Entry, Store } from "../state/store.ts";
import { type Secret, sealedWith } from "./secret.ts";
import { CERTS_PREFIX } from "./store-keys.ts";

export interface SealedAnew {
  /** Entries that were written. */
  readonly count: number;
  /** Keys of entries whose secret is not here; they are as they were. */
  readonly unopened: readonly string[];
}

/** Of writing an entry that another node changes at the same moment. */
const MAX_TRIES = 5;

/** Is anything sealed in there? */
export async function hasSealed(store: Store): Promise<boolean> {
  if ((await store.revision()) === 0) return false;
  return (await store.list(CERTS_PREFIX)).some(({ value }) => sealedTexts(value).length > 0);
}

/**
 * Everything gets sealed with a new key where the secret is a file's, and with the first of KITTIWAKE_SECRET where it is the environment's.
 * Throws `store_unavailable`, `secret_unavailable`; to be repeated then.
 */
export async function rotateSecret(store: Store, secret: Secret): Promise<SealedAnew> {
  if (secret.isFile) await secret.addKey();
  const result = await sealAnew(store, secret);
  if (result.unopened.length === 0) await secret.dropOldKeys();
  return result;
}

async function sealAnew(store: Store, secret: Secret): Promise<SealedAnew> {
  const unopened: string[] = [];
  let count = 0;
  for (const entry of await store.list(CERTS_PREFIX)) {
    const outcome = await sealEntry(store, secret, entry);
    if (outcome === "unopened") unopened.push(entry.key);
    else if (outcome === "sealed") count++;
  }
  return { count, unopened };
}

async function sealEntry(store: Store, secret: Secret, found: Entry): Promise<"sealed" | "unopened" | "nothing"> {
  let entry: Entry | null = found;
  for (let tries = 1; entry !== null; tries++) {
    const { key, value, revision } = entry;
    const old = sealedTexts(value).filter((text) => sealedWith(text) !== secret.keyId);
    if (old.length === 0) return "nothing";
    if (old.some((text) => !secret.canOpen(text))) return "unopened";
    try {
      await store.update(
        key,
        replaceEach(value, old, (text) => secret.seal(key, secret.open(key, text))),
        revision,
      );
      return "sealed";
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      // Moved here from another entry, or damaged: it never opens.
      if (error.code === "certificate_unavailable") return "unopened";
      if (error.code !== "store_conflict" || tries === MAX_TRIES) throw error;
    }
    entry = await store.get(key);
  }
  return "nothing";
}

/** Sealed texts have no letter that JSON would escape, so they stand in it as they are. */
function sealedTexts(value: string): readonly string[] {
  return value.match(/(?<=")sealed:1:[0-9a-f]{8}:[A-Za-z0-9_-]+(?=")/g) ?? [];
}

function replaceEach(value: string, texts: readonly string[], replacement: (text: string) => string): string {
  return texts.reduce((result, text) => result.replaceAll(text, () => replacement(text)), value);
}
