// What a CA answers instead of what it was asked for (RFC 7807; RFC 8555, section 6.7), as data for whoever decides when to ask again,
// and in plain words for people.

import { z } from "zod";

import { ProxyError } from "../../core/errors.ts";

export interface AcmeProblemOptions {
  /** Such as "rateLimited"; empty where the CA gave no type of RFC 8555. */
  readonly type: string;
  /** Of HTTP; 0 for a problem that is part of a resource, such as a failed challenge. */
  readonly status: number;
  /** Milliseconds since the epoch before which asking again is in vain; null where the CA does not say. */
  readonly retryAtMs: number | null;
  /** How often the CA looked for a proof in vain: it counts that. Default 0. */
  readonly validations?: number;
}

/**
 * - refused: the CA could not validate the name, or will not issue for it
 * - limited: too much was asked of it
 * - failing: it said that it is not well, or makes no sense
 */
export type AcmeProblemKind = "refused" | "limited" | "failing";

const URN = "urn:ietf:params:acme:error:";
/** Detail is shown in logs and by the CLI; a CA that is broken or hostile must not fill them. */
const MAX_DETAIL = 500;
/** A chain of causes longer than this is no chain of ours. */
const MAX_CAUSES = 8;

/** Types that say more of the CA than of what it was asked for. */
const FAILINGS: ReadonlySet<string> = new Set(["badNonce", "serverInternal"]);

/** What to make of each type; the type itself and the CA's detail follow. */
const MEANINGS: Readonly<Record<string, string>> = {
  accountDoesNotExist: "the authority does not know the account",
  alreadyReplaced: "the certificate was replaced already",
  badCSR: "the authority refuses the signing request",
  badNonce: "the authority refuses every nonce",
  caa: "a CAA record of the name forbids this authority to issue",
  connection: "the authority could not connect to validate the name",
  dns: "the authority could not look the name up",
  externalAccountRequired: "the authority wants an account that is bound to one with it; set tls.acme.eab_kid and eab_hmac_file",
  incorrectResponse: "the authority got another answer to the challenge than it expects",
  invalidContact: "the authority refuses the mail address",
  invalidProfile: "the authority has no such profile",
  rateLimited: "the authority's rate limit is reached",
  rejectedIdentifier: "the authority does not issue for this name",
  serverInternal: "the authority failed",
  tls: "the authority could not make a TLS connection to validate the name",
  unauthorized: "the authority found no proof of control over the name, or does not accept the account",
  unsupportedContact: "the authority refuses the mail address",
  unsupportedIdentifier: "the authority does not issue for this kind of name",
  userActionRequired: "the authority wants its terms accepted anew",
};

/** Always the cause, direct or not, of a ProxyError `certificate_unavailable`. */
export class AcmeProblem extends Error {
  override readonly name = "AcmeProblem";
  readonly type: string;
  readonly status: number;
  readonly retryAtMs: number | null;
  readonly validations: number;

  constructor(message: string, { type, status, retryAtMs, validations = 0 }: AcmeProblemOptions) {
    super(message);
    this.type = type;
    this.status = status;
    this.retryAtMs = retryAtMs;
    this.validations = validations;
  }

  /** Is it about how often was asked, and not about what? */
  get isRateLimit(): boolean {
    return this.type === "rateLimited" || this.status === 429;
  }

  get kind(): AcmeProblemKind {
    if (this.isRateLimit) return "limited";
    return this.status >= 500 || FAILINGS.has(this.type) ? "failing" : "refused";
  }
}

/** The CA's answer behind an error, null where something else went wrong: no network, say. */
export function acmeProblemOf(error: unknown): AcmeProblem | null {
  let cause = error;
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth++) {
    if (cause instanceof AcmeProblem) return cause;
    cause = cause.cause;
  }
  return null;
}

const document = z.object({ type: z.string().catch(""), detail: z.string().catch("") });

/** Reads a problem document, or whatever is in its place. */
export function readProblem(data: unknown, status: number, retryAtMs: number | null): AcmeProblem {
  const { type, detail } = document.safeParse(data).data ?? { type: "", detail: "" };
  const short = type.startsWith(URN) ? type.slice(URN.length) : "";
  return new AcmeProblem(explain(short, harmless(detail), status), { type: short, status, retryAtMs });
}

/** For all that goes wrong between us and a CA. */
export function unavailable(message: string, cause?: unknown): ProxyError {
  return new ProxyError("certificate_unavailable", message, { cause });
}

function explain(type: string, detail: string, status: number): string {
  const said = detail === "" ? "" : `: ${detail}`;
  const meaning = Object.hasOwn(MEANINGS, type) ? MEANINGS[type]! : "the authority refuses";
  const source = [...(type === "" ? [] : [type]), ...(status === 0 ? [] : [`status ${status}`])].join(", ");
  return `${meaning}${source === "" ? "" : ` (${source})`}${said}`;
}

/** One line of printable text, bounded. */
function harmless(detail: string): string {
  const line = detail
    .slice(0, 2 * MAX_DETAIL)
    .replace(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.length > MAX_DETAIL ? `${line.slice(0, MAX_DETAIL)}…` : line;
}
