// What a machine that answers with `fly-replay` asks the edge to remember of it. Reference sections 4.3 and 4.5. Pure.

import { joinedValue } from "../http/joined-value.ts";
import type { Fields } from "../http/message.ts";

export interface CacheOrder {
  /** The requests that it is for, as `parsePathScope` has them; null where that was not said. */
  readonly prefix: string | null;
  /** Seconds; null where that was not said, or not understood. */
  readonly ttlS: number | null;
  /** What is remembered for the request is to be forgotten, and nothing else. */
  readonly invalidate: boolean;
  /** May a request say that it is to be as if nothing were remembered? */
  readonly allowBypass: boolean;
}

/** The `fly-replay-cache` fields of a response; null where there are none. Whatever else stands in them asks for nothing that is fit. */
export function cacheOrderOf(fields: Fields): CacheOrder | null {
  const prefix = joinedValue(fields, "fly-replay-cache");
  if (prefix === null) return null;
  const ttl = joinedValue(fields, "fly-replay-cache-ttl-secs") ?? "";
  return {
    prefix,
    ttlS: /^\d{1,9}$/.test(ttl) ? Number(ttl) : null,
    invalidate: prefix === "invalidate",
    allowBypass: joinedValue(fields, "fly-replay-cache-allow-bypass") === "yes",
  };
}
