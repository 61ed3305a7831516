// A challenge of a certificate authority (RFC 8555 section 8) between nodes: where it is in the store, what is kept of it there, and what the
// workers make of it. No key is stored: the certificate that answers TLS-ALPN-01 is made of the key authorization by each node for itself.

/** `http`: known by its token; `alpn`: by the canonical name that is validated; `dns`: by the label in our own zone. */
export type ChallengeKind = "http" | "alpn" | "dns";

/** What a worker answers with. */
export type WorkerChallenge =
  | { readonly kind: "http"; readonly name: string; readonly untilMs: number; readonly keyAuthorization: string }
  | {
      readonly kind: "alpn";
      readonly name: string;
      readonly untilMs: number;
      readonly certificatePem: string;
      readonly privateKeyPem: string;
    };

/** The kinds that workers answer; the rest is the main thread's. */
export type WorkerChallengeKind = WorkerChallenge["kind"];

/** One that is expired is none. */
export type StoredChallenge =
  | { readonly kind: "http" | "alpn"; readonly name: string; readonly untilMs: number; readonly keyAuthorization: string }
  | { readonly kind: "dns"; readonly name: string; readonly values: readonly TextValue[] };

/** A TXT record of its own. */
export interface TextValue {
  readonly value: string;
  readonly untilMs: number;
}

export const CHALLENGES_PREFIX = "certs/challenges/";

const KINDS: readonly string[] = ["http", "alpn", "dns"] satisfies readonly ChallengeKind[];

export function challengeKey(kind: ChallengeKind, name: string): string {
  return `${CHALLENGES_PREFIX}${kind}/${name}`;
}

export function challengeText(challenge: StoredChallenge): string {
  if (challenge.kind === "dns")
    return JSON.stringify({ values: challenge.values.map(({ value, untilMs }) => ({ value, until: new Date(untilMs) })) });
  return JSON.stringify({ keyAuthorization: challenge.keyAuthorization, until: new Date(challenge.untilMs) });
}

/** null for what this version does not know as a challenge. */
export function readChallenge(key: string, text: string): StoredChallenge | null {
  const [kind = "", name = "", more] = key.slice(CHALLENGES_PREFIX.length).split("/");
  if (!key.startsWith(CHALLENGES_PREFIX) || !KINDS.includes(kind) || name === "" || more !== undefined) return null;
  const value = parsed(text);
  if (kind === "dns") {
    const values = Array.isArray(value?.["values"]) ? value["values"].map(readTextValue) : [null];
    return values.every((one) => one !== null) ? { kind, name, values } : null;
  }
  const untilMs = readTime(value?.["until"]);
  const keyAuthorization = value?.["keyAuthorization"];
  if (untilMs === null || typeof keyAuthorization !== "string") return null;
  return { kind: kind as "http" | "alpn", name, untilMs, keyAuthorization };
}

/** When nothing of it is valid any more. */
export function endOf(challenge: StoredChallenge): number {
  return challenge.kind === "dns" ? Math.max(0, ...challenge.values.map(({ untilMs }) => untilMs)) : challenge.untilMs;
}

function readTextValue(item: unknown): TextValue | null {
  const { value, until } = (item ?? {}) as Readonly<Record<string, unknown>>;
  const untilMs = readTime(until);
  return typeof value === "string" && untilMs !== null ? { value, untilMs } : null;
}

function readTime(text: unknown): number | null {
  const ms = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>> | null;
  } catch {
    return null;
  }
}
