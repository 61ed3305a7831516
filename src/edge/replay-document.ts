// The JSON form of `fly-replay`: a response of a type of its own whose body says what is to become of the request. Reference section 4.3. Pure.
// Read by hand, since a worker has no other use for schemas.

import type { CacheOrder } from "./cache-order.ts";
import { replayOrder, type ReplayOrder } from "./replay-order.ts";
import { changeableName, fieldValue, isPath, type Transform } from "./replay-transform.ts";

const UTF_8 = new TextDecoder("utf-8", { fatal: true });
/** Regions, names and fields in one list. */
const MOST_ITEMS = 64;

type Members = Readonly<Record<string, unknown>>;

/** The order in the body of a response (`replay-response.ts`); null: it is malformed, by itself or because it makes no sense. A member that is null is as good as none. */
export function parseReplayDocument(bytes: Uint8Array): ReplayOrder | null {
  try {
    return readOrder(members(JSON.parse(UTF_8.decode(bytes))));
  } catch {
    // Not UTF-8, not JSON, or not what the readers below expect.
    return null;
  }
}

function readOrder(all: Members): ReplayOrder | null {
  const { region, elsewhere, transform, cache, allow_bypass: allowBypass, ...texts } = all;
  const { instance, prefer_instance, app, state, timeout, fallback, ...others } = texts;
  nothingIn(others);
  // Some have it here, and some with what it is about.
  const mayBypass = optional(allowBypass, asBoolean) ?? false;
  return replayOrder(
    {
      region: typeof region === "string" ? region : optional(region, (value) => list(value, asText)),
      elsewhere: optional(elsewhere, asBoolean)?.toString(),
      instance: optional(instance, asText),
      prefer_instance: optional(prefer_instance, asText),
      app: optional(app, asText),
      state: optional(state, asText),
      timeout: optional(timeout, asText),
      fallback: optional(fallback, asText),
    },
    optional(cache, (value) => readCache(members(value), mayBypass)) ?? null,
    optional(transform, (value) => readTransform(members(value))) ?? null,
  );
}

function readTransform({ path, delete_headers: deletes, set_headers: sets, ...others }: Members): Transform {
  nothingIn(others);
  return {
    path: optional(path, asPath) ?? null,
    deletes: optional(deletes, (value) => list(value, asName)) ?? [],
    sets: optional(sets, (value) => list(value, asField)) ?? [],
  };
}

function readCache({ prefix, ttl, invalidate, allow_bypass: allowBypass, ...others }: Members, mayBypass: boolean): CacheOrder {
  nothingIn(others);
  return {
    prefix: optional(prefix, asText) ?? null,
    ttlS: optional(ttl, asSeconds) ?? null,
    invalidate: optional(invalidate, asBoolean) ?? false,
    allowBypass: optional(allowBypass, asBoolean) ?? mayBypass,
  };
}

function optional<Value>(value: unknown, read: (value: unknown) => Value): Value | undefined {
  return value === undefined || value === null ? undefined : read(value);
}

function list<Item>(value: unknown, read: (value: unknown) => Item): Item[] {
  if (!Array.isArray(value) || value.length > MOST_ITEMS) throw new TypeError("not a list, or too long a one");
  return value.map((item) => read(item));
}

function members(value: unknown): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TypeError("not an object");
  return value as Members;
}

function nothingIn(others: Members): void {
  if (Object.keys(others).length > 0) throw new TypeError("unknown members");
}

/** What a field of a header could say as well: it may be sent on in one. */
function asText(value: unknown): string {
  const text = typeof value === "string" ? fieldValue(value) : null;
  if (text === null) throw new TypeError("not text");
  return text;
}

function asBoolean(value: unknown): boolean {
  if (typeof value !== "boolean") throw new TypeError("not a boolean");
  return value;
}

function asSeconds(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new TypeError("not a number of seconds");
  return value as number;
}

function asPath(value: unknown): string {
  if (typeof value !== "string" || !isPath(value)) throw new TypeError("not a path");
  return value;
}

function asName(value: unknown): string {
  const name = typeof value === "string" ? changeableName(value) : null;
  if (name === null) throw new TypeError("not a field that may be changed");
  return name;
}

function asField(value: unknown): readonly [string, string] {
  const { name, value: text, ...others } = members(value);
  nothingIn(others);
  return [asName(name), asText(text)];
}
