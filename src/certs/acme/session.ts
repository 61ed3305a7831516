// One account's conversation with a CA. The only file that knows acme-client, which signs requests and knows the resources of RFC 8555; how
// they travel is transport.ts's business (docs/decisions/003), and what comes back is believed only in the shape it must have.

import type { Client } from "acme-client";
import { z } from "zod";

import { ProxyError } from "../../core/errors.ts";
import { type AcmeProblem, readProblem, unavailable } from "./problem.ts";
import type { AcmeReply, AcmeRequest, AcmeTransport } from "./transport.ts";

export interface AcmeSessionOptions {
  readonly directory: string;
  readonly transport: AcmeTransport;
  readonly accountKeyPem: string;
  /** null: not yet registered. */
  readonly accountUrl: string | null;
  readonly externalAccount: ExternalAccount | null;
  /** Ends every request. */
  readonly signal: AbortSignal;
}

/** What ties an account to one that the operator has with the CA (RFC 8555, section 7.3.4). */
export interface ExternalAccount {
  readonly kid: string;
  /** Base64url. */
  readonly hmacKey: string;
}

export interface Registration {
  readonly email: string | null;
  readonly termsAgreed: boolean;
}

export interface OrderOptions {
  /** The certificate that this one takes the place of (RFC 9773, section 5); null: none, or the CA does not know the extension. */
  readonly replaces: string | null;
  /** One of those that the CA offers; null: its default. */
  readonly profile: string | null;
}

export type OrderResource = z.output<typeof orderShape> & { readonly url: string };
export type Authorization = z.output<typeof authorizationShape>;
export type OfferedChallenge = Authorization["challenges"][number];

/** The parts of acme-client's Client that its types leave out. */
interface ClientInternals {
  readonly http: { request(url: string, method: string, options?: { readonly data?: unknown }): Promise<AcmeReply> };
  readonly api: {
    createAccount(data: Readonly<Record<string, unknown>>): Promise<AcmeReply>;
    apiRequest(url: string, payload: unknown, statuses: readonly number[]): Promise<AcmeReply>;
  };
}

const METHODS: Readonly<Record<string, AcmeRequest["method"]>> = { get: "GET", head: "HEAD", post: "POST" };
/** Of a list of orders, where a CA keeps one: an order that was lost is among the last. */
const MAX_ORDERS = 100;
const MAX_ORDER_PAGES = 20;

const url = z.url({ protocol: /^https?$/ });
const orderShape = z.object({
  status: z.enum(["pending", "ready", "processing", "valid", "invalid"]),
  identifiers: z.array(z.object({ type: z.string(), value: z.string() })),
  authorizations: z.array(url).min(1).max(100),
  finalize: url,
  certificate: url.optional(),
  error: z.unknown().optional(),
});
const challengeShape = z.object({
  type: z.string(),
  url,
  status: z.enum(["pending", "processing", "valid", "invalid"]),
  token: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,128}$/)
    .optional(),
  error: z.unknown().optional(),
});
const authorizationShape = z.object({
  status: z.enum(["pending", "valid", "invalid", "deactivated", "expired", "revoked"]),
  identifier: z.object({ type: z.literal("dns"), value: z.string() }),
  challenges: z.array(challengeShape).max(100),
});
const ordersShape = z.object({ orders: z.array(url).max(10_000) });
const accountShape = z.object({ orders: url.optional() });

export class AcmeSession {
  readonly #options: AcmeSessionOptions;
  readonly #client: Client;
  readonly #internals: ClientInternals;
  /** From the last answer: the next request need not ask for one (RFC 8555, section 6.5). */
  #nonce: string | null = null;
  #retryAfterMs: number | null = null;

  private constructor(client: Client, options: AcmeSessionOptions) {
    this.#options = options;
    this.#client = client;
    this.#internals = this.#client as unknown as ClientInternals;
    // The library's own way knows neither a bound, nor a signal, nor roots for one CA alone, and sleeps through a rate limit.
    this.#internals.http.request = (to, method, { data } = {}) => this.#send(to, method, data);
  }

  static async open(options: AcmeSessionOptions): Promise<AcmeSession> {
    // It brings a web client and a second library for X.509 along: not for nodes that never order, and not while a node starts.
    const { Client } = await import("acme-client");
    const { directory, accountKeyPem, accountUrl, externalAccount } = options;
    const client = new Client({
      directoryUrl: directory,
      accountKey: accountKeyPem,
      ...(accountUrl === null ? {} : { accountUrl }),
      ...(externalAccount === null ? {} : { externalAccountBinding: { ...externalAccount } }),
    });
    return new AcmeSession(client, options);
  }

  /** The pause that the last answer asked for, in milliseconds. */
  get retryAfterMs(): number | null {
    return this.#retryAfterMs;
  }

  /** Makes the account, or finds the one of this key. Returns its URL. */
  async register({ email, termsAgreed }: Registration): Promise<string> {
    return await this.#ask(async () => {
      const terms: unknown = await this.#client.getTermsOfServiceUrl();
      if (typeof terms === "string" && !termsAgreed) {
        throw unavailable(
          `the authority asks to accept its terms, ${JSON.stringify(terms)}; read them and set tls.acme.terms_agreed = true`,
        );
      }
      const contact = email === null ? {} : { contact: [`mailto:${email}`] };
      // The client's own createAccount asks for ever where the answer does not say where the account is.
      const reply = await this.#internals.api.createAccount({
        ...(typeof terms === "string" ? { termsOfServiceAgreed: true } : {}),
        ...contact,
      });
      const accountUrl = url.parse(reply.headers["location"]);
      // The key had an account already; whom to write to may be new.
      if (reply.status === 200 && email !== null) await this.#post(accountUrl, contact);
      return accountUrl;
    });
  }

  async newOrder(name: string, { replaces, profile }: OrderOptions): Promise<OrderResource> {
    return await this.#ask(async () => {
      const asked = {
        identifiers: [{ type: "dns", value: name }],
        ...(profile === null ? {} : { profile }),
        ...(replaces === null ? {} : { replaces }),
      };
      const order = await this.#client.createOrder(asked);
      return readOrder(order, url.parse(order.url), name);
    });
  }

  async order(orderUrl: string, name: string): Promise<OrderResource> {
    return await this.#ask(async () => readOrder(await this.#fetch(orderUrl), orderUrl, name));
  }

  /**
   * The newest order for this name that can still be used, where the CA keeps a list of an account's orders (RFC 8555, section 7.1.2.1; some
   * do not, and give back the same order when it is asked for again).
   */
  async findOrder(name: string): Promise<OrderResource | null> {
    return await this.#ask(async () => {
      const { orders } = accountShape.parse(await this.#client.updateAccount());
      if (orders === undefined) return null;
      for (const orderUrl of (await this.#list(orders)).toReversed().slice(0, MAX_ORDERS)) {
        const shape = orderShape.safeParse(await this.#fetch(orderUrl)).data;
        const isSame = shape?.identifiers.length === 1 && shape.identifiers[0]!.value === name;
        if (isSame && (shape.status === "pending" || shape.status === "ready")) return { ...shape, url: orderUrl };
      }
      return null;
    });
  }

  /** That of the one name in the order. */
  async authorization({ authorizations }: OrderResource): Promise<Authorization> {
    return await this.#ask(async () => authorizationShape.parse(await this.#fetch(authorizations[0]!)));
  }

  /** `<token>.<thumbprint>` (RFC 8555, section 8.1). */
  async keyAuthorization(token: string): Promise<string> {
    // For other types the library would give the digest.
    return await this.#client.getChallengeKeyAuthorization({ type: "http-01", token, url: "", status: "pending" });
  }

  /** Has the CA validate. */
  async respond(challenge: OfferedChallenge): Promise<void> {
    // An answer that is none is better heard of now than after waiting for a verdict.
    await this.#ask(async () => challengeShape.parse(await this.#post(challenge.url, {})));
  }

  /** The order as it is then. */
  async finalize(order: OrderResource, requestPem: string, name: string): Promise<OrderResource> {
    return await this.#ask(async () => {
      const csr = Buffer.from(requestPem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64").toString("base64url");
      return readOrder(await this.#post(order.finalize, { csr }), order.url, name);
    });
  }

  /** The chain in PEM, unchecked. */
  async certificate({ certificate }: OrderResource): Promise<string> {
    return await this.#ask(async () => {
      if (certificate === undefined) throw unavailable("the authority says that the certificate is issued, but not where it is");
      const chain = await this.#fetch(certificate);
      if (typeof chain !== "string") throw unavailable("the authority sent something else than a certificate");
      return chain;
    });
  }

  /** @param reason of RFC 5280, section 5.3.1 */
  async revoke(chainPem: string, reason: number): Promise<void> {
    await this.#ask(() => this.#client.revokeCertificate(chainPem, { reason }));
  }

  /** POST-as-GET (RFC 8555, section 6.3). */
  async #fetch(resource: string): Promise<unknown> {
    return await this.#post(resource, null);
  }

  async #post(resource: string, payload: unknown): Promise<unknown> {
    return (await this.#internals.api.apiRequest(resource, payload, [200])).data;
  }

  async #list(first: string): Promise<string[]> {
    const found: string[] = [];
    let next: string | null = first;
    for (let page = 0; next !== null && page < MAX_ORDER_PAGES; page++) {
      const reply: AcmeReply = await this.#internals.api.apiRequest(next, null, [200]);
      found.push(...ordersShape.parse(reply.data).orders);
      next = nextPage(reply.headers["link"]);
    }
    return found;
  }

  async #send(to: string, method: string, body: unknown): Promise<AcmeReply> {
    const { directory, transport, signal } = this.#options;
    if (directory.startsWith("https:") && !to.startsWith("https:")) throw unavailable("the authority leads from https to another scheme");
    if (method === "head" && this.#nonce !== null) return this.#spentNonce();
    const reply = await transport.send({ method: METHODS[method] ?? "POST", url: to, signal, ...(body === undefined ? {} : { body }) });
    this.#nonce = reply.headers["replay-nonce"] ?? null;
    this.#retryAfterMs = reply.retryAfterMs;
    // The library takes the nonce of a refusal itself.
    if (reply.status >= 400) this.#nonce = null;
    return reply;
  }

  /** The answer to a request for a nonce, without the request. */
  #spentNonce(): AcmeReply {
    const headers = { "replay-nonce": this.#nonce! };
    this.#nonce = null;
    return { status: 200, headers, data: "", retryAfterMs: null };
  }

  /** Whatever goes wrong in the library, or with the shape of an answer, becomes the error that everybody here throws. */
  async #ask<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ProxyError || this.#options.signal.aborted) throw error;
      // Without its cause: what the CA sent instead may be anything.
      if (error instanceof z.ZodError) throw unavailable(`the authority's answer is not what RFC 8555 asks for: ${where(error)}`);
      throw unavailable("the authority's answer cannot be used", error);
    }
  }
}

/** Why an order or a challenge failed. */
export function failureIn({ error }: { readonly error?: unknown }): AcmeProblem {
  return readProblem(error, 0, null);
}

function readOrder(data: unknown, orderUrl: string, name: string): OrderResource {
  const order = orderShape.parse(data);
  if (order.identifiers.length !== 1 || order.identifiers[0]!.value.toLowerCase() !== name)
    throw unavailable("the authority's order is for other names");
  return { ...order, url: orderUrl };
}

function nextPage(link = ""): string | null {
  const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(link)?.[1];
  return next === undefined || !URL.canParse(next) ? null : next;
}

function where({ issues }: z.ZodError): string {
  return issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.join(".") || "it"}: ${message}`)
    .join("; ");
}
