// Cookies of the edge's own: a short text that clients keep and cannot change, good until a time and for one app. Every node with the same
// secret can read them; a key that signs no more is still accepted (docs/decisions/010).
//
//     expires.mac.text      seconds since the epoch in base 36 · 132 bits of HMAC-SHA256 in base64url · what it says

import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from "node:crypto";
import { cookieValues } from "../http/cookies.ts";
import type { Fields } from "../http/message.ts";

const MAC_CHARACTERS = 22;
const VALUE = /^([0-9a-z]{1,10})\.([\w-]{22})\.([\w.-]{1,64})$/;
/** Of one name, that are looked at. */
const MOST = 3;

/** What a good cookie says. */
export interface SignedText {
  readonly text: string;
  /** Seconds since the epoch. */
  readonly expiresS: number;
}

export interface SignedCookiesOptions {
  /** 32 bytes each; the first one signs. At least one. */
  readonly keys: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class SignedCookies {
  #keys: readonly KeyObject[] = [];
  readonly #now: () => number;
  #passedMs = 0;

  constructor({ keys, now }: SignedCookiesOptions) {
    this.#now = now;
    this.setKeys(keys);
  }

  get nowS(): number {
    return (this.#now() + this.#passedMs) / 1000;
  }

  /** For tests: as if so much time had gone by. */
  pass(ms: number): void {
    this.#passedMs += ms;
  }

  setKeys(keys: readonly Uint8Array[]): void {
    this.#keys = keys.map((key) => createSecretKey(key));
  }

  /**
   * The value of a `set-cookie` field.
   *
   * @param name of the cookie, which is as good as what it is for
   * @param text of at most 64 letters, digits, dots, dashes and underscores
   */
  set(name: string, app: string, { text, forS, isSecure }: { text: string; forS: number; isSecure: boolean }): string {
    const expires = Math.ceil(this.nowS + forS).toString(36);
    const value = `${expires}.${mac(this.#keys[0]!, name, app, expires, text)}.${text}`;
    return `${name}=${value}; Path=/; Max-Age=${forS}; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
  }

  /** The first good one of this name; null: there is none. */
  read(fields: Fields, name: string, app: string): SignedText | null {
    for (const value of cookieValues(fields, name, MOST)) {
      const [whole, expires = "", given = "", text = ""] = VALUE.exec(value) ?? [];
      if (whole === undefined) continue;
      const expiresS = Number.parseInt(expires, 36);
      if (expiresS > this.nowS && this.#isSigned(name, app, expires, text, given)) return { text, expiresS };
    }
    return null;
  }

  #isSigned(name: string, app: string, expires: string, text: string, given: string): boolean {
    const bytes = Buffer.from(given, "latin1");
    return this.#keys.some((key) => timingSafeEqual(Buffer.from(mac(key, name, app, expires, text), "latin1"), bytes));
  }
}

function mac(key: KeyObject, name: string, app: string, expires: string, text: string): string {
  return createHmac("sha256", key).update(`${name}\n${app}\n${expires}\n${text}`).digest("base64url").slice(0, MAC_CHARACTERS);
}
