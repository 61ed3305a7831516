// HTTP to a CA (RFC 8555, section 6.1): bounded in time and size, by the system's roots and one of the operator's own. What is no
// success comes out as a problem, so that nothing above has to look at a status.

import { readFile } from "node:fs/promises";
import { createSecureContext, getCACertificates } from "node:tls";

import { Agent, request } from "undici";

import { VERSION } from "../../core/version.ts";
import { readProblem, unavailable } from "./problem.ts";

export interface AcmeTransportOptions {
  /** PEM file with roots to trust beside the system's, for a CA of one's own. */
  readonly caFile: string | null;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** From asking to the end of the answer. Default: 30 s. */
  readonly timeoutMs?: number;
}

export interface AcmeRequest {
  readonly method: "GET" | "HEAD" | "POST";
  readonly url: string;
  /** What is sent as JSON. */
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

export interface AcmeReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed where it is JSON, otherwise text. */
  readonly data: unknown;
  /** The pause that the CA asks for before the next look, in milliseconds; null where it asks for none. */
  readonly retryAfterMs: number | null;
}

const TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** A chain is a few kilobytes, a directory less. */
const MAX_BODY_BYTES = 256 * 1024;
/** CAs close idle connections whenever they like; a request must not meet that. */
const IDLE_MS = 2_000;
/** Beyond this a CA's pause is a mistake in its clock or in ours. */
const LONGEST_RETRY_MS = 31 * 86_400_000;

export class AcmeTransport {
  readonly #agent: Agent;
  readonly #now: () => number;
  readonly #timeoutMs: number;

  private constructor(rootsPem: readonly string[] | null, { now = Date.now, timeoutMs = TIMEOUT_MS }: AcmeTransportOptions) {
    this.#now = now;
    this.#timeoutMs = timeoutMs;
    // Read once: hundreds of roots take the main thread 40 ms, which every connection would cost it.
    const trust = rootsPem === null ? {} : { secureContext: createSecureContext({ ca: [...rootsPem] }) };
    this.#agent = new Agent({ connect: { timeout: CONNECT_TIMEOUT_MS, ...trust }, keepAliveTimeout: IDLE_MS, connections: 8 });
  }

  /** Throws `certificate_unavailable` when `caFile` cannot be read or holds no certificate. */
  static async open(options: AcmeTransportOptions): Promise<AcmeTransport> {
    if (options.caFile === null) return new AcmeTransport(null, options);
    let pem: string;
    try {
      pem = await readFile(options.caFile, "utf8");
    } catch (cause) {
      throw unavailable(`cannot read the authority's root in "${options.caFile}"`, cause);
    }
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw unavailable(`there is no certificate in "${options.caFile}"`);
    return new AcmeTransport([...getCACertificates("default"), pem], options);
  }

  /**
   * Throws `certificate_unavailable`: with an AcmeProblem as its cause when the CA refuses, without one when it cannot be reached or says
   * nothing that can be read. A refused nonce is returned, because asking again at once is the cure.
   */
  async send(asked: AcmeRequest): Promise<AcmeReply> {
    const late = AbortSignal.timeout(this.#timeoutMs);
    const reply = await this.#exchange(asked, AbortSignal.any([asked.signal, late])).catch((cause: unknown) => {
      if (asked.signal.aborted) throw cause;
      throw unavailable(
        `${hostOf(asked.url)} ${late.aborted ? `did not answer within ${this.#timeoutMs / 1000} s` : describe(cause)}`,
        cause,
      );
    });
    if (reply.status < 300) return reply;
    const retryAtMs = reply.retryAfterMs === null ? null : this.#now() + reply.retryAfterMs;
    const problem = readProblem(reply.data, reply.status, retryAtMs);
    if (problem.type === "badNonce") return reply;
    throw unavailable(problem.message, problem);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #exchange({ method, url, body }: AcmeRequest, signal: AbortSignal): Promise<AcmeReply> {
    const response = await request(url, {
      dispatcher: this.#agent,
      method,
      headers: {
        "user-agent": `kittiwake/${VERSION}`,
        "accept-language": "en",
        ...(body === undefined ? {} : { "content-type": "application/jose+json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
    const text = await readText(response.body);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(response.headers)) {
      if (value !== undefined) headers[name] = typeof value === "string" ? value : value.join(", ");
    }
    return {
      status: response.statusCode,
      headers,
      data: isJson(headers["content-type"]) && text !== "" ? JSON.parse(text) : text,
      retryAfterMs: parseRetryAfter(headers["retry-after"], this.#now()),
    };
  }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`sent more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function isJson(contentType = ""): boolean {
  return /^application\/(?:[a-z.-]+\+)?json\b/i.test(contentType);
}

/** Seconds or a date (RFC 9110, section 10.2.3), as a pause from now. */
function parseRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  const ms = /^\d{1,10}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), LONGEST_RETRY_MS);
}

function hostOf(url: string): string {
  return URL.canParse(url) ? `the authority at "${new URL(url).host}"` : `the authority at ${JSON.stringify(url.slice(0, 200))}`;
}

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return "cannot be reached";
  if (cause instanceof SyntaxError) return "answered with broken JSON";
  const code = (cause as NodeJS.ErrnoException).code;
  return `cannot be reached or understood: ${code === undefined ? cause.message : `${code}, ${cause.message}`}`;
}
