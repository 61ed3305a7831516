// An ACME authority of our own (RFC 8555, RFC 9773) for what the real test servers lack: answers that are late, malformed, or none, limits,
// windows that move, short lives. Small but honest: nonces are used once, every signature is verified, orders go through their states, and
// certificates are signed for the key of the request by an intermediate under a root.

import { createHash, createPublicKey, randomBytes, verify, type webcrypto } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { renewalId } from "../../src/certs/renewal-info.ts";
import { FakeCa } from "./fake-ca.ts";

/** What is asked for; `keyId` is the account's. */
export interface FakeRequest {
  readonly step: FakeStep;
  /** The name that it is about, where it is about one. */
  readonly name: string | null;
}

export type FakeStep =
  | "directory"
  | "newNonce"
  | "newAccount"
  | "newOrder"
  | "order"
  | "authorization"
  | "challenge"
  | "finalize"
  | "certificate"
  | "revokeCert"
  | "renewalInfo";

export interface FakeReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, a text as it is. */
  readonly body?: object | string;
}

/** Takes the place of the answer; "hang" never answers, null leaves it as it is. */
export type FakeScript = (request: FakeRequest) => FakeReply | "hang" | null | Promise<FakeReply | "hang" | null>;

export interface FakeOrder {
  readonly id: string;
  readonly name: string;
  readonly account: string;
  /** As the client named it; null: it replaces nothing. */
  readonly replaces: string | null;
  status: "pending" | "ready" | "processing" | "valid" | "invalid";
  error: object | null;
  certificatePem: string | null;
  /** How often it will still be "processing". */
  looksLeft: number;
}

interface FakeChallenge {
  readonly type: string;
  readonly token: string;
  status: "pending" | "valid" | "invalid";
  error: object | null;
}

interface FakeAuthorization {
  readonly order: FakeOrder;
  readonly challenges: readonly FakeChallenge[];
  status: "pending" | "valid" | "invalid";
}

export interface Validation {
  readonly name: string;
  readonly type: string;
  readonly token: string;
  readonly keyAuthorization: string;
}

export interface FakeWindow {
  readonly startMs: number;
  readonly endMs: number;
  readonly explanationUrl?: string;
  /** Seconds. Default: six hours. */
  readonly retryAfter?: number;
}

export interface FakeAcmeOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** What it signs with. Default: one of its own. */
  readonly ca?: FakeCa;
  /** The types that it offers. */
  readonly challenges?: readonly string[];
  /** Default: 90 days. */
  readonly lifetimeMs?: number;
  /** Without it the directory has no `renewalInfo`. */
  readonly hasRenewalInfo?: boolean;
}

const DAY_MS = 86_400_000;
const MAX_BODY_BYTES = 64 * 1024;

/** What it says when it has had enough. */
export function rateLimited(retryAfter: number): FakeReply {
  const headers = { "retry-after": String(retryAfter) };
  return { status: 429, headers, body: problem("rateLimited", "too many certificates already issued") };
}

export class FakeAcme implements AsyncDisposable {
  readonly orders: FakeOrder[] = [];
  /** What was asked for, in order. */
  readonly requests: FakeRequest[] = [];
  /** By the id of RFC 9773. Without one, a certificate's window begins after two thirds of its life. */
  readonly windows = new Map<string, FakeWindow>();
  readonly revoked: { readonly certificatePem: string; readonly reason: number }[] = [];
  /** What may change in the middle of a test. */
  script: FakeScript = () => null;
  /** A text: why the validation fails. */
  validate: (validation: Validation) => string | null | Promise<string | null> = () => null;
  lifetimeMs: number;
  /** So many nonces are refused that are in order. */
  badNonces = 0;
  /** How often a finalized order is looked at before it is valid. */
  processingLooks = 0;
  readonly #options: FakeAcmeOptions;
  readonly #now: () => number;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #nonces = new Set<string>();
  readonly #accounts = new Map<string, webcrypto.JsonWebKey>();
  readonly #authorizations = new Map<string, FakeAuthorization>();
  readonly #issuedAtMs = new Map<string, number>();
  readonly #ca: FakeCa;

  private constructor(options: FakeAcmeOptions, ca: FakeCa) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.lifetimeMs = options.lifetimeMs ?? 90 * DAY_MS;
    this.#ca = ca;
  }

  static async start(options: FakeAcmeOptions = {}): Promise<FakeAcme> {
    const fake = new FakeAcme(options, options.ca ?? (await FakeCa.create((options.now ?? Date.now)())));
    fake.#server.listen(0, "127.0.0.1");
    await once(fake.#server, "listening");
    return fake;
  }

  /** Whom clients of the certificates trust. */
  get rootPem(): string {
    return this.#ca.rootPem;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get directory(): string {
    return `${this.url}/directory`;
  }

  /** Names in the order in which their certificates were issued. */
  get issued(): string[] {
    return this.orders.filter(({ certificatePem }) => certificatePem !== null).map(({ name }) => name);
  }

  /** How often a step was asked for. */
  count(step: FakeStep, name?: string): number {
    return this.requests.filter((request) => request.step === step && (name === undefined || request.name === name)).length;
  }

  /** Validates a name of which a challenge is pending, as if another node had asked for it. */
  async decide(name: string): Promise<void> {
    const authorization = [...this.#authorizations.values()].find((one) => one.order.name === name && one.status === "pending")!;
    await this.#decide(authorization, authorization.challenges[0]!, this.#accounts.get(authorization.order.account)!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const reply = await this.#answer(request, await readBody(request));
      if (reply === "hang") return;
      const { status, headers = {}, body = "" } = reply;
      const nonce = randomBytes(12).toString("base64url");
      this.#nonces.add(nonce);
      const type = typeof body === "string" ? "text/plain" : status >= 400 ? "application/problem+json" : "application/json";
      response.writeHead(status, {
        "content-type": type,
        "replay-nonce": nonce,
        "cache-control": "no-store",
        link: `<${this.directory}>;rel="index"`,
        ...headers,
      });
      response.end(request.method === "HEAD" ? "" : typeof body === "string" ? body : JSON.stringify(body));
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  }

  async #answer(request: IncomingMessage, body: string): Promise<FakeReply | "hang"> {
    const [, path = "", id = ""] = (request.url ?? "").split("/");
    const step = path as FakeStep;
    const asked = { step, name: this.#nameOf(step, id, body) };
    this.requests.push(asked);
    const scripted = await this.script(asked);
    if (scripted !== null) return scripted;
    if (step === "directory") return { status: 200, body: this.#directory() };
    if (step === "newNonce") return { status: request.method === "HEAD" ? 200 : 204 };
    if (step === "renewalInfo") return this.#renewalInfo(id);
    if (request.method !== "POST") return { status: 405, body: problem("malformed", "POST is the only method here") };
    const signed = this.#verify(`${this.url}${request.url}`, body);
    return "status" in signed ? signed : await this.#act(step, id, signed);
  }

  async #act(step: FakeStep, id: string, { payload, account, jwk }: Signed): Promise<FakeReply> {
    if (step === "newAccount") return this.#newAccount(jwk, payload);
    if (account === null && step !== "revokeCert") return { status: 401, body: problem("accountDoesNotExist", "who are you?") };
    const order = this.orders.find((one) => one.id === id);
    switch (step) {
      case "newOrder":
        return this.#newOrder(account!, payload);
      case "order":
        return order === undefined ? notFound() : this.#look(order);
      case "authorization":
        return this.#authorizations.has(id) ? { status: 200, body: this.#authorization(id) } : notFound();
      case "challenge":
        return await this.#challenge(id, jwk, payload);
      case "finalize":
        return order === undefined ? notFound() : await this.#finalize(order, payload);
      case "certificate":
        if (order === undefined || order.certificatePem === null) return notFound();
        return { status: 200, headers: { "content-type": "application/pem-certificate-chain" }, body: order.certificatePem };
      case "revokeCert":
        return this.#revoke(payload);
      default:
        return notFound();
    }
  }

  #directory(): object {
    const names = ["newNonce", "newAccount", "newOrder", "revokeCert", ...(this.#options.hasRenewalInfo === true ? ["renewalInfo"] : [])];
    return { ...Object.fromEntries(names.map((name) => [name, `${this.url}/${name}`])), meta: {} };
  }

  #verify(url: string, body: string): Signed | FakeReply {
    const jws = JSON.parse(body) as { readonly protected: string; readonly payload: string; readonly signature: string };
    const head = fromBase64(jws.protected) as { alg: string; nonce: string; url: string; jwk?: webcrypto.JsonWebKey; kid?: string };
    const account = head.kid ?? null;
    const jwk = head.jwk ?? this.#accounts.get(account ?? "");
    if (jwk === undefined) return { status: 400, body: problem("accountDoesNotExist", "there is no such account") };
    if (head.url !== url) return { status: 400, body: problem("malformed", `signed for ${head.url}`) };
    if (!this.#nonces.delete(head.nonce) || this.badNonces-- > 0)
      return { status: 400, body: problem("badNonce", "another nonce, please") };
    this.badNonces = Math.max(0, this.badNonces);
    const key = createPublicKey({ key: jwk as never, format: "jwk" });
    const signature = Buffer.from(jws.signature, "base64url");
    const isRight = verify("sha256", Buffer.from(`${jws.protected}.${jws.payload}`), { key, dsaEncoding: "ieee-p1363" }, signature);
    if (!isRight) return { status: 400, body: problem("malformed", "the signature is wrong") };
    return { payload: jws.payload === "" ? null : fromBase64(jws.payload), account, jwk };
  }

  #newAccount(jwk: webcrypto.JsonWebKey, payload: Payload): FakeReply {
    const url = `${this.url}/account/${thumbprint(jwk)}`;
    const isKnown = this.#accounts.has(url);
    if (!isKnown && payload?.["onlyReturnExisting"] === true) return { status: 400, body: problem("accountDoesNotExist", "none yet") };
    this.#accounts.set(url, jwk);
    return { status: isKnown ? 200 : 201, headers: { location: url }, body: { status: "valid" } };
  }

  #newOrder(account: string, payload: Payload): FakeReply {
    const identifiers = payload?.["identifiers"] as readonly { readonly type: string; readonly value: string }[];
    const replaces = (payload?.["replaces"] as string | undefined) ?? null;
    if (replaces !== null && this.orders.some((other) => other.replaces === replaces && other.status !== "invalid")) {
      return { status: 409, body: problem("alreadyReplaced", "it has been replaced") };
    }
    const id = randomBytes(6).toString("hex");
    const name = identifiers[0]!.value;
    const order: FakeOrder = { id, name, account, replaces, status: "pending", error: null, certificatePem: null, looksLeft: 0 };
    this.orders.push(order);
    const isWildcard = name.startsWith("*.");
    const types = (this.#options.challenges ?? ["tls-alpn-01", "http-01", "dns-01"]).filter((type) => !isWildcard || type === "dns-01");
    const challenges = types.map((type): FakeChallenge => ({
      type,
      token: randomBytes(16).toString("base64url"),
      status: "pending",
      error: null,
    }));
    this.#authorizations.set(id, { order, challenges, status: "pending" });
    return { ...this.#order(order), status: 201 };
  }

  #order(order: FakeOrder): FakeReply {
    const { id, name, status, error } = order;
    return {
      status: 200,
      headers: { location: `${this.url}/order/${id}` },
      body: {
        status,
        identifiers: [{ type: "dns", value: name }],
        authorizations: [`${this.url}/authorization/${id}`],
        finalize: `${this.url}/finalize/${id}`,
        ...(order.replaces === null ? {} : { replaces: order.replaces }),
        ...(status === "valid" ? { certificate: `${this.url}/certificate/${id}` } : {}),
        ...(error === null ? {} : { error }),
      },
    };
  }

  #look(order: FakeOrder): FakeReply {
    if (order.status === "processing" && order.looksLeft-- <= 0) order.status = "valid";
    return this.#order(order);
  }

  #authorization(id: string): object {
    const { order, status, challenges } = this.#authorizations.get(id)!;
    return {
      status,
      identifier: { type: "dns", value: order.name.replace(/^\*\./, "") },
      ...(order.name.startsWith("*.") ? { wildcard: true } : {}),
      challenges: challenges.map((challenge) => this.#challengeObject(id, challenge)),
    };
  }

  #challengeObject(id: string, { type, token, status, error }: FakeChallenge): object {
    return { type, token, status, url: `${this.url}/challenge/${id}.${type}`, ...(error === null ? {} : { error }) };
  }

  async #challenge(path: string, jwk: webcrypto.JsonWebKey, payload: Payload): Promise<FakeReply> {
    const [id = "", type = ""] = path.split(".");
    const authorization = this.#authorizations.get(id);
    const challenge = authorization?.challenges.find((one) => one.type === type);
    if (authorization === undefined || challenge === undefined) return notFound();
    if (payload !== null) {
      // As Pebble has it.
      if (challenge.status !== "pending") return { status: 400, body: problem("malformed", `the challenge is ${challenge.status}`) };
      await this.#decide(authorization, challenge, jwk);
    }
    return { status: 200, body: this.#challengeObject(id, challenge) };
  }

  async #decide(authorization: FakeAuthorization, challenge: FakeChallenge, jwk: webcrypto.JsonWebKey): Promise<void> {
    const { order } = authorization;
    const { type, token } = challenge;
    const name = order.name.replace(/^\*\./, "");
    const reason = await this.validate({ name, type, token, keyAuthorization: `${token}.${thumbprint(jwk)}` });
    authorization.status = challenge.status = reason === null ? "valid" : "invalid";
    order.status = reason === null ? "ready" : "invalid";
    if (reason !== null) challenge.error = order.error = problem("unauthorized", reason);
  }

  async #finalize(order: FakeOrder, payload: Payload): Promise<FakeReply> {
    if (order.status !== "ready") return { status: 403, body: problem("orderNotReady", `it is ${order.status}`) };
    const request = Buffer.from(String(payload?.["csr"]), "base64url");
    const nowMs = this.#now();
    const certificatePem = await this.#ca.sign(request, order.name, {
      notBefore: new Date(nowMs),
      notAfter: new Date(nowMs + this.lifetimeMs),
    });
    if (certificatePem === null) return { status: 400, body: problem("badCSR", "it is not for the name of the order") };
    this.#issuedAtMs.set(renewalId(certificatePem)!, nowMs);
    order.certificatePem = certificatePem;
    order.status = this.processingLooks > 0 ? "processing" : "valid";
    order.looksLeft = this.processingLooks;
    return this.#order(order);
  }

  #revoke(payload: Payload): FakeReply {
    const raw = Buffer.from(String(payload?.["certificate"]), "base64url").toString("base64");
    const order = this.orders.find(({ certificatePem }) => certificatePem?.replaceAll("\n", "").includes(raw) === true);
    if (order === undefined) return notFound();
    if (this.revoked.some(({ certificatePem }) => certificatePem === order.certificatePem)) {
      return { status: 400, body: problem("alreadyRevoked", "it is revoked already") };
    }
    this.revoked.push({ certificatePem: order.certificatePem!, reason: Number(payload?.["reason"] ?? 0) });
    return { status: 200 };
  }

  #renewalInfo(id: string): FakeReply {
    const issuedAtMs = this.#issuedAtMs.get(id);
    if (issuedAtMs === undefined) return notFound();
    const window = this.windows.get(id);
    const startMs = window?.startMs ?? issuedAtMs + (this.lifetimeMs * 2) / 3;
    const endMs = window?.endMs ?? startMs + DAY_MS;
    const suggestedWindow = { start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString() };
    const explanation = window?.explanationUrl === undefined ? {} : { explanationURL: window.explanationUrl };
    return { status: 200, headers: { "retry-after": String(window?.retryAfter ?? 21_600) }, body: { suggestedWindow, ...explanation } };
  }

  #nameOf(step: FakeStep, id: string, body: string): string | null {
    if (step === "newOrder") {
      const { payload = "" } = body === "" ? {} : (JSON.parse(body) as { readonly payload?: string });
      const { identifiers } = (payload === "" ? {} : fromBase64(payload)) as {
        readonly identifiers?: readonly { readonly value: string }[];
      };
      return identifiers?.[0]?.value ?? null;
    }
    return this.orders.find((order) => order.id === id.split(".")[0])?.name ?? null;
  }
}

type Payload = Readonly<Record<string, unknown>> | null;

interface Signed {
  readonly payload: Payload;
  /** null: signed with a key that has no account, or is about to get one. */
  readonly account: string | null;
  readonly jwk: webcrypto.JsonWebKey;
}

function problem(type: string, detail: string): object {
  return { type: `urn:ietf:params:acme:error:${type}`, detail };
}

function notFound(): FakeReply {
  return { status: 404, body: problem("malformed", "there is nothing here") };
}

/** RFC 7638. */
function thumbprint({ crv, e, kty, n, x, y }: webcrypto.JsonWebKey): string {
  const members = kty === "RSA" ? { e, kty, n } : { crv, kty, x, y };
  return createHash("sha256").update(JSON.stringify(members)).digest("base64url");
}

function fromBase64(text: string): never {
  return JSON.parse(Buffer.from(text, "base64url").toString()) as never;
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk as string;
    if (body.length > MAX_BODY_BYTES) throw new Error("the body is too large");
  }
  return body;
}
