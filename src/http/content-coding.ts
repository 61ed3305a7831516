// Which content coding a client gets, by its Accept-Encoding field (RFC 9110 section 12.5.3).

import { weightedItems } from "./weighted-list.ts";

export type Coding = "zstd" | "br" | "gzip";

export interface CodingChoice {
  /** null: the content as it is. */
  readonly coding: Coding | null;
  /** The client would rather not have the content as it is. */
  readonly refusesIdentity: boolean;
}

/** Among equals the first: it costs the least for what it saves. */
const CODINGS: readonly Coding[] = ["zstd", "br", "gzip"];
/** Another name for gzip (section 8.4.1.3). */
const ALIASES: Readonly<Record<string, string>> = { "x-gzip": "gzip" };
const AS_IT_IS: CodingChoice = { coding: null, refusesIdentity: false };

/** @param accepted the client's list; null when it sent none, and then it gets the content as it is */
export function chooseCoding(accepted: string | null): CodingChoice {
  if (accepted === null) return AS_IT_IS;
  const weights = new Map<string, number>();
  for (const { name, weight } of weightedItems(accepted)) weights.set(Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name, weight);
  const any = weights.get("*");
  const identity = weights.get("identity") ?? (any === 0 ? 0 : null);
  let coding: Coding | null = null;
  let most = 0;
  for (const candidate of CODINGS) {
    const weight = weights.get(candidate) ?? any ?? 0;
    if (weight <= most) continue;
    coding = candidate;
    most = weight;
  }
  // Unless it says otherwise, a client that names a coding prefers it to none.
  return { coding: identity !== null && identity > most ? null : coding, refusesIdentity: identity === 0 };
}
