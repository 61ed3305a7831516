// How the CLI asks a running node: the admin API as typed calls. An error of the node comes back as the same ProxyError that it was there.

import type { Agent } from "undici";

import { ERRORS, type ErrorCode, ProxyError } from "../core/errors.ts";
import type { Explanation } from "../routing/explain.ts";
import type {
  CertificateChoice,
  CertificateDetails,
  CertificateStatus,
  ExportedCertificate,
  ImportResult,
  NodeStatus,
  ReloadResult,
  RotateResult,
} from "./control.ts";
import type { AppObject, MachineObject } from "./machine-object.ts";
import type { SnakeCased } from "./snake-case.ts";

export interface AdminClientOptions {
  /** Such as `http://127.0.0.1:4280`. */
  readonly url: string;
  readonly token: string | null;
}

export type MachineAction = "start" | "stop" | "suspend";

type Method = "GET" | "POST" | "DELETE";

interface CallOptions {
  /** Sent as JSON. */
  readonly body?: object;
  /** Is what came with a status of failure a result all the same? */
  readonly isResult?: (body: object) => boolean;
}

/** Loopback answers at once; a node elsewhere is given the time of a few lost packets. */
const CONNECT_TIMEOUT_MS = 5000;
/** Waking a machine may take its whole wake_timeout. */
const ANSWER_TIMEOUT_MS = 15 * 60_000;

/**
 * Every call throws `connect_failed` when no node answers, `bad_response` when what answers is no node, and what the node answered
 * otherwise.
 */
export class AdminClient implements AsyncDisposable {
  readonly url: string;
  readonly #token: string | null;
  #agent: Agent | null = null;

  constructor({ url, token }: AdminClientOptions) {
    this.url = url.replace(/\/+$/, "");
    this.#token = token;
  }

  async status(): Promise<SnakeCased<NodeStatus>> {
    return await this.#call("GET", "/status");
  }

  /** A configuration that the node refused is a result like any other. */
  async reload(): Promise<SnakeCased<ReloadResult>> {
    return await this.#call("POST", "/reload", { isResult: isReloadResult });
  }

  /** @param question as the parameters of `GET /explain` beside `url`, several of one name too */
  async explain(url: string, question: readonly (readonly [name: string, value: string])[]): Promise<SnakeCased<Explanation>> {
    const query = new URLSearchParams([["url", url], ...question.map(([name, value]) => [name, value])]);
    return await this.#call("GET", `/explain?${query}`);
  }

  async apps(): Promise<readonly AppObject[]> {
    const { apps } = await this.#call<{ readonly apps: readonly AppObject[] }>("GET", "/v1/apps");
    return apps;
  }

  async machines(app: string): Promise<readonly MachineObject[]> {
    return await this.#call("GET", `/v1/apps/${encodeURIComponent(app)}/machines`);
  }

  /** @param machine id or name */
  async machine(app: string, machine: string): Promise<MachineObject> {
    return await this.#call("GET", machinePath(app, machine));
  }

  /** Resolves when it is done. */
  async act(action: MachineAction, app: string, machine: string): Promise<void> {
    await this.#call("POST", `${machinePath(app, machine)}/${action}`);
  }

  async certificates(): Promise<readonly SnakeCased<CertificateStatus>[]> {
    return (await this.#call<{ readonly certificates: readonly SnakeCased<CertificateStatus>[] }>("GET", "/certificates")).certificates;
  }

  /** @param name or id */
  async certificate(name: string): Promise<readonly SnakeCased<CertificateDetails>[]> {
    const path = `/certificates/${encodeURIComponent(name)}`;
    return (await this.#call<{ readonly certificates: readonly SnakeCased<CertificateDetails>[] }>("GET", path)).certificates;
  }

  /** @param pem certificates and a private key */
  async importCertificate(pem: string): Promise<SnakeCased<ImportResult>> {
    return await this.#call("POST", "/certificates", { body: { pem } });
  }

  async exportCertificate(choice: CertificateChoice, withKey: boolean): Promise<SnakeCased<ExportedCertificate>> {
    return await this.#call("GET", certificatePath(choice, "/export", withKey ? { private_key: "true" } : {}));
  }

  /** Resolves to what it was. */
  async deleteCertificate(choice: CertificateChoice): Promise<SnakeCased<CertificateStatus>> {
    return await this.#call("DELETE", certificatePath(choice));
  }

  /** Resolves with the new one, which may take minutes. */
  async renewCertificate(name: string): Promise<SnakeCased<CertificateStatus>> {
    return await this.#call("POST", certificatePath({ name, source: null }, "/renew"));
  }

  async revokeCertificate(name: string, reason: string): Promise<SnakeCased<CertificateStatus>> {
    return await this.#call("POST", certificatePath({ name, source: null }, "/revoke"), { body: { reason } });
  }

  async rotateSecret(): Promise<SnakeCased<RotateResult>> {
    return await this.#call("POST", "/secret/rotate");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent?.close();
  }

  async #call<Result>(method: Method, path: string, { body, isResult = () => false }: CallOptions = {}): Promise<Result> {
    const answer = await this.#send(method, path, body);
    if (answer.status < 300 || isResult(answer.body)) return answer.body as Result;
    const { error, code } = answer.body as { readonly error?: unknown; readonly code?: unknown };
    if (typeof error !== "string") throw this.#notANode(answer.status);
    throw new ProxyError(isErrorCode(code) ? code : "internal", error);
  }

  async #send(method: Method, path: string, sent?: object): Promise<{ readonly status: number; readonly body: object }> {
    const headers: Record<string, string> = this.#token === null ? {} : { authorization: `Bearer ${this.#token}` };
    if (sent !== undefined) headers["content-type"] = "application/json";
    // Not before a node is asked: to load it takes longer than to ask.
    const { Agent, request } = await import("undici");
    this.#agent ??= new Agent({ connect: { timeout: CONNECT_TIMEOUT_MS }, headersTimeout: ANSWER_TIMEOUT_MS });
    const options = { method, headers, dispatcher: this.#agent, ...(sent === undefined ? {} : { body: JSON.stringify(sent) }) };
    const response = await request(this.url + path, options).catch((cause: unknown) => {
      throw new ProxyError("connect_failed", `no node answers at ${this.url}; is \`kittiwake run\` active?`, { cause });
    });
    const body = await response.body.json().catch((cause: unknown) => {
      throw this.#notANode(response.statusCode, cause);
    });
    if (typeof body !== "object" || body === null) throw this.#notANode(response.statusCode);
    return { status: response.statusCode, body };
  }

  #notANode(status: number, cause?: unknown): ProxyError {
    return new ProxyError("bad_response", `what answers at ${this.url} with status ${status} is not a Kittiwake node`, { cause });
  }
}

function machinePath(app: string, machine: string): string {
  return `/v1/apps/${encodeURIComponent(app)}/machines/${encodeURIComponent(machine)}`;
}

function certificatePath({ name, source }: CertificateChoice, end = "", query: Readonly<Record<string, string>> = {}): string {
  const parameters = new URLSearchParams(source === null ? query : { ...query, source });
  return `/certificates/${encodeURIComponent(name)}${end}${parameters.size === 0 ? "" : `?${parameters}`}`;
}

function isReloadResult(body: object): boolean {
  return "applied" in body;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(ERRORS, code);
}
