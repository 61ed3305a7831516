// The key of the fleet: seals the private keys that are in the state store (AES-256-GCM), so that a copy of the store is worth nothing by
// itself. It comes from `data_dir/secret.key`, made on the first start, or from KITTIWAKE_SECRET, the same on every node. Several keys may
// open, one seals: the first. Nothing in here ever puts a key, or what was sealed, into an error or a log.
//
//     no key (the store is sealed with another's) ──the file appears──► keys ──rotate──► a new one in front of them

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { link, mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

import type { Logger } from "pino";

import { ProxyError } from "../core/errors.ts";
import { syncDirectory, writeDurably } from "./durable-file.ts";

export interface SecretOptions {
  /** `data_dir/secret.key`. */
  readonly path: string;
  /** The value of KITTIWAKE_SECRET, which takes the place of the file; undefined where it is not set. */
  readonly environment: string | undefined;
  /** Is something sealed already that a new key could not open? Then none is made. */
  isInUse(): Promise<boolean>;
  /** Other keys from now on. */
  onChange?(): void;
  readonly log: Logger;
  /** Milliseconds of a clock that does not leap. */
  readonly now?: () => number;
}

interface Key {
  /** Tells keys apart without giving anything away of them. */
  readonly id: string;
  readonly bytes: Buffer;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED = /^sealed:1:([0-9a-f]{8}):([A-Za-z0-9_-]+)$/;
/** A file that lacks a key is read again at most this often. */
const READ_AGAIN_MS = 5000;
/** What file systems say that have no hard links. */
const WITHOUT_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);
const FILE_COMMENT =
  "# Opens the private keys in Kittiwake's state store: keep a copy in a safe place. The first key seals, the others open.";

export class Secret {
  readonly #options: SecretOptions;
  readonly #now: () => number;
  /** The first one seals. */
  #keys: readonly Key[];
  #readAtMs: number;

  private constructor(options: SecretOptions, keys: readonly Key[]) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#keys = keys;
    this.#readAtMs = this.#now();
  }

  /**
   * Throws `config_invalid` for a secret that is malformed or cannot be read. One that is missing is made, unless something is sealed
   * already: then the node runs without one, which is logged, and opening throws until the right one is there.
   */
  static async open(options: SecretOptions): Promise<Secret> {
    const { path, environment, log } = options;
    if (environment !== undefined) return new Secret(options, parseKeys(environment, "KITTIWAKE_SECRET"));
    const keys = readKeys(path);
    if (keys !== null) {
      if (isExposed(path)) log.warn({ path }, "others than its owner can read the secret; make it theirs no longer: chmod 600");
      return new Secret(options, keys);
    }
    if (await options.isInUse()) {
      log.error({ path }, `the state store has private keys that were sealed elsewhere, and there is no secret here; ${remedy(path)}`);
      return new Secret(options, []);
    }
    return new Secret(options, await createFile(path));
  }

  /** The id of the key that seals; null while there is none. */
  get keyId(): string | null {
    return this.#keys[0]?.id ?? null;
  }

  /** A new one can be made here; that of the environment is for the operator to change. */
  get isFile(): boolean {
    return this.#options.environment === undefined;
  }

  /**
   * Seals a text for one entry of the store: under another key of the store it does not open. Throws `secret_unavailable`.
   *
   * @param storeKey of the entry that it will be in
   */
  seal(storeKey: string, text: string): string {
    this.#lookAgain(this.#keys.length === 0);
    const key = this.#keys[0];
    if (key === undefined) throw new ProxyError("secret_unavailable", `there is no secret to seal a private key with; ${this.#remedy()}`);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key.bytes, nonce).setAAD(Buffer.from(storeKey));
    const bytes = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return `sealed:1:${key.id}:${bytes.toString("base64url")}`;
  }

  /** What was sealed for this entry. Throws `secret_unavailable` when no key here opens it, `certificate_unavailable` when it is damaged. */
  open(storeKey: string, sealed: string): string {
    const [, id, encoded = ""] = SEALED.exec(sealed) ?? [];
    if (id === undefined) throw new ProxyError("certificate_unavailable", `what is sealed in "${storeKey}" is damaged`);
    const key = this.#key(id);
    if (key === null) {
      throw new ProxyError("secret_unavailable", `"${storeKey}" is sealed with the secret ${id}, which is not here; ${this.#remedy()}`);
    }
    const bytes = Buffer.from(encoded, "base64url");
    try {
      const decipher = createDecipheriv("aes-256-gcm", key.bytes, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(storeKey)).setAuthTag(bytes.subarray(-TAG_BYTES));
      const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, "utf8");
      return text + decipher.final("utf8");
    } catch (cause) {
      throw new ProxyError("certificate_unavailable", `what is sealed in "${storeKey}" was changed, or belongs to another entry`, {
        cause,
      });
    }
  }

  /** Keys for another purpose, one of each key and in their order: none while there is no secret. They tell nothing of those (RFC 5869). */
  derived(purpose: string): Buffer[] {
    return this.#keys.map(({ bytes }) => Buffer.from(hkdfSync("sha256", bytes, "", `kittiwake ${purpose}`, KEY_BYTES)));
  }

  /** Would this text open? Says nothing of what it is sealed for. */
  canOpen(sealed: string): boolean {
    const id = sealedWith(sealed);
    return id !== null && this.#key(id) !== null;
  }

  /**
   * Puts a new key in front, on disk before it is used. The earlier ones stay, so that nothing is lost when sealing everything anew is
   * interrupted. Throws `secret_unavailable` where the secret is the environment's, or cannot be written.
   */
  async addKey(): Promise<void> {
    if (!this.isFile)
      throw new ProxyError("secret_unavailable", "the secret is that of KITTIWAKE_SECRET; put a new one in front of it there");
    const keys = [newKey(), ...(readKeys(this.#options.path) ?? this.#keys)];
    await replaceFile(this.#options.path, keys);
    this.#use(keys);
  }

  /** Once all is sealed with the first: keeps that one and the one before it, for copies of the store that were made until now. */
  async dropOldKeys(): Promise<void> {
    if (!this.isFile || this.#keys.length <= 2) return;
    const keys = this.#keys.slice(0, 2);
    await replaceFile(this.#options.path, keys);
    this.#use(keys);
  }

  #use(keys: readonly Key[]): void {
    this.#keys = keys;
    this.#options.onChange?.();
  }

  #key(id: string): Key | null {
    this.#lookAgain(!this.#keys.some((key) => key.id === id));
    return this.#keys.find((key) => key.id === id) ?? null;
  }

  /** A key that is missing may have been put into the file meanwhile. */
  #lookAgain(isMissing: boolean): void {
    if (!isMissing || !this.isFile || this.#now() - this.#readAtMs < READ_AGAIN_MS) return;
    this.#readAtMs = this.#now();
    try {
      const keys = readKeys(this.#options.path);
      if (keys !== null) this.#use(keys);
    } catch (error) {
      this.#options.log.error((error as Error).message);
    }
  }

  #remedy(): string {
    return this.isFile
      ? remedy(this.#options.path)
      : "give this node the KITTIWAKE_SECRET of the others, with an earlier one behind it if there was one";
  }
}

/** The id of the key that a text is sealed with; null for what is not sealed. */
export function sealedWith(text: string): string | null {
  return SEALED.exec(text)?.[1] ?? null;
}

function remedy(path: string): string {
  return (
    `put back "${path}" from a copy, or give this node the KITTIWAKE_SECRET of the others; if it is lost, ` +
    "`kittiwake certs rotate-secret` makes a new one, and what the old one sealed must be imported and ordered anew"
  );
}

/** Throws `config_invalid`, which says how many characters were wrong, never which. */
function parseKeys(text: string, where: string): readonly Key[] {
  const lines = text.split("\n").filter((line) => !line.trimStart().startsWith("#"));
  const words = lines
    .join(" ")
    .split(/[\s,]+/)
    .filter((word) => word !== "");
  const keys = words.map((word, index) => {
    const bytes = decodeKey(word);
    if (bytes !== null) return toKey(bytes);
    const got = `key ${index + 1} has ${word.length} characters`;
    throw new ProxyError(
      "config_invalid",
      `${where} must be 32 random bytes in base64, as \`openssl rand -base64 32\` prints them; ${got}`,
    );
  });
  if (keys.length === 0)
    throw new ProxyError(
      "config_invalid",
      `${where} is empty; it must be 32 random bytes in base64, as \`openssl rand -base64 32\` prints them`,
    );
  return keys;
}

function decodeKey(word: string): Buffer | null {
  if (/^[0-9a-fA-F]{64}$/.test(word)) return Buffer.from(word, "hex");
  if (!/^(?:[A-Za-z0-9+/]{43}=?|[A-Za-z0-9_-]{43}=?)$/.test(word)) return null;
  const bytes = Buffer.from(word, "base64");
  return bytes.length === KEY_BYTES ? bytes : null;
}

function toKey(bytes: Buffer): Key {
  return { bytes, id: createHash("sha256").update("kittiwake secret").update(bytes).digest("hex").slice(0, 8) };
}

function newKey(): Key {
  return toKey(randomBytes(KEY_BYTES));
}

/** null: there is no such file. */
function readKeys(path: string): readonly Key[] | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    throw new ProxyError("config_invalid", `cannot read the secret "${path}": ${message}`, { cause });
  }
  return parseKeys(text, `"${path}"`);
}

function isExposed(path: string): boolean {
  return (statSync(path).mode & 0o077) !== 0;
}

/** The new key, or that of another process that was faster. */
async function createFile(path: string): Promise<readonly Key[]> {
  const key = newKey();
  await writing(path, async (draft) => {
    await writeDurably(draft, formatKeys([key]), 0o600);
    // Unlike a rename it replaces nothing.
    await link(draft, path).catch(async (error: NodeJS.ErrnoException) => {
      if (WITHOUT_LINKS.has(error.code ?? "") && readKeys(path) === null) await rename(draft, path);
      else if (error.code !== "EEXIST") throw error;
    });
    await rm(draft, { force: true });
  });
  return readKeys(path) ?? [key];
}

async function replaceFile(path: string, keys: readonly Key[]): Promise<void> {
  await writing(path, async (draft) => {
    await writeDurably(draft, formatKeys(keys), 0o600);
    await rename(draft, path);
  });
}

async function writing(path: string, work: (draft: string) => Promise<void>): Promise<void> {
  const directory = dirname(path);
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await work(draft);
    await syncDirectory(directory);
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => {});
    throw new ProxyError("secret_unavailable", `cannot write the secret "${path}": ${(cause as Error).message}`, { cause });
  }
}

function formatKeys(keys: readonly Key[]): string {
  return `${[FILE_COMMENT, ...keys.map(({ bytes }) => bytes.toString("base64"))].join("\n")}\n`;
}
