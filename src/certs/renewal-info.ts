// Asks an authority when it would like a certificate to be renewed (RFC 9773, ARI): the first to know of a mass revocation is who has to
// revoke. Every answer is bounded and strictly read; what to make of it is decided in renewal-plan.ts.

import { X509Certificate } from "node:crypto";

import "reflect-metadata"; // before the library, whose container looks for it while it loads
import { AuthorityKeyIdentifierExtension, X509Certificate as ReadableCertificate } from "@peculiar/x509";
import { z } from "zod";

import { ProxyError } from "../core/errors.ts";
import type { Suggestion } from "./renewal-plan.ts";

export interface RenewalInfoOptions {
  /** URL of the authority's directory. */
  readonly directory: string;
  /** Bounded in time and size. Throws `certificate_unavailable` for whatever is no success. */
  get(url: string, signal: AbortSignal): Promise<Reply>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

interface Reply {
  /** Parsed JSON. */
  readonly data: unknown;
  readonly retryAfterMs: number | null;
}

/** A directory changes seldom; one that has just learnt of ARI is noticed within a day. */
const DIRECTORY_MS = 86_400_000;
const MAX_URL = 2048;

const webUrl = z.url({ protocol: /^https?$/ }).max(MAX_URL);
const directoryShape = z.object({ renewalInfo: webUrl.optional() });
const suggestionShape = z.object({
  suggestedWindow: z.object({ start: z.iso.datetime({ offset: true }), end: z.iso.datetime({ offset: true }) }),
  // For people to read: one that is no URL does not spoil the window.
  explanationURL: webUrl.optional().catch(undefined),
});

export class RenewalInfo {
  readonly #options: RenewalInfoOptions;
  readonly #now: () => number;
  /** null: the directory offers none. */
  #base: { readonly url: string | null; readonly untilMs: number } | null = null;

  constructor(options: RenewalInfoOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** "none": neither the directory nor the certificate knows of it. Throws `certificate_unavailable` for an answer that is none. */
  async suggestion(certificatePem: string, signal: AbortSignal): Promise<Suggestion | "none"> {
    const id = renewalId(certificatePem);
    const base = id === null ? null : await this.#renewalInfo(signal);
    if (base === null) return "none";
    const { data, retryAfterMs } = await this.#options.get(`${base.replace(/\/$/, "")}/${id}`, signal);
    const { suggestedWindow, explanationURL } = parsed(suggestionShape, data);
    const window = { startMs: Date.parse(suggestedWindow.start), endMs: Date.parse(suggestedWindow.end) };
    // RFC 9773, section 4.2: such a window is to be treated as no answer.
    if (!(window.startMs < window.endMs)) throw new ProxyError("certificate_unavailable", "the authority's window for a renewal is empty");
    return { window, explanationUrl: explanationURL ?? null, retryAfterMs };
  }

  /** Is `replaces` understood in an order (section 5)? */
  async isOffered(signal: AbortSignal): Promise<boolean> {
    return (await this.#renewalInfo(signal)) !== null;
  }

  /** Reads the directory anew. Throws `certificate_unavailable` when it does not answer as one. */
  async reload(signal: AbortSignal): Promise<void> {
    const { directory, get } = this.#options;
    const { data } = await get(directory, signal);
    const url = parsed(directoryShape, data).renewalInfo ?? null;
    if (url !== null && directory.startsWith("https:") && !url.startsWith("https:")) {
      throw new ProxyError("certificate_unavailable", "the authority leads from https to another scheme");
    }
    this.#base = { url, untilMs: this.#now() + DIRECTORY_MS };
  }

  async #renewalInfo(signal: AbortSignal): Promise<string | null> {
    if (this.#base === null || this.#base.untilMs <= this.#now()) await this.reload(signal);
    return this.#base?.url ?? null;
  }
}

/** Names a certificate towards its authority (RFC 9773, section 4.1); null for one that does not name its issuer's key. */
export function renewalId(certificatePem: string): string | null {
  const { raw } = new X509Certificate(certificatePem);
  const certificate = new ReadableCertificate(raw);
  const keyId = certificate.getExtension(AuthorityKeyIdentifierExtension)?.keyId;
  if (keyId === undefined) return null;
  const serial = Buffer.from(certificate.serialNumber, "hex");
  // As DER has it: the library leaves out the zero that keeps a number positive.
  const integer = serial[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), serial]) : serial;
  return `${Buffer.from(keyId, "hex").toString("base64url")}.${integer.toString("base64url")}`;
}

function parsed<Shape>(shape: z.ZodType<Shape>, data: unknown): Shape {
  const result = shape.safeParse(data);
  if (result.success) return result.data;
  throw new ProxyError("certificate_unavailable", "the authority's answer about renewals is not what RFC 9773 asks for");
}
