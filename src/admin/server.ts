// The admin API of a node: health, metrics, status, reload, explain, and the part of Fly's Machines API that a node can answer. On the main
// thread; it sees the node through NodeControl alone. Routes are in routes/, who may come in is in access.ts.

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Logger } from "pino";

import type { Address } from "../core/app.ts";
import type { Component } from "../core/component.ts";
import { ProxyError } from "../core/errors.ts";
import { RequestIds } from "../core/request-id.ts";
import { logFailure } from "../telemetry/log.ts";
import { createAccessCheck, isLoopback } from "./access.ts";
import type { NodeControl } from "./control.ts";
import { errorResponse, unreadableResponse } from "./error-response.ts";
import { addAppRoutes } from "./routes/apps.ts";
import { addCertificateRoutes } from "./routes/certificates.ts";
import { addExplainRoute } from "./routes/explain.ts";
import { addHealthRoutes } from "./routes/health.ts";
import { addMachineRoutes } from "./routes/machines.ts";
import { addMetricsRoute } from "./routes/metrics.ts";
import { addNodeRoutes } from "./routes/node.ts";

export interface AdminServerOptions {
  /** Port 0 takes any free one. */
  readonly listen: Address;
  /** What every path but /healthz and /readyz asks for; null needs a loopback address. */
  readonly token: string | null;
  readonly control: NodeControl;
  readonly log: Logger;
  /** Within which a request must have arrived, in milliseconds. @default 10 s */
  readonly requestTimeoutMs?: number;
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_CONNECTIONS = 256;
const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
/** How long requests under way may go on when the server stops. */
const CLOSE_MS = 1000;
/** No route has a schema. Without compilers of our own, fastify loads its own, which is half of what it takes to load. */
const NO_SCHEMAS = { buildValidator: noSchemas, buildSerializer: noSchemas };

export class AdminServer implements Component {
  readonly name = "admin";
  /** Resolves once the server accepts, rejects when its first attempt to listen fails. */
  readonly listening: Promise<Address>;
  readonly #options: AdminServerOptions;
  readonly #firstListen = Promise.withResolvers<Address>();
  #address: Address | null = null;

  /** Throws `config_invalid` for an address beyond loopback without a token. */
  constructor(options: AdminServerOptions) {
    if (options.token === null && !isLoopback(options.listen.host)) {
      throw new ProxyError("config_invalid", `the admin API needs a token to listen on "${options.listen.host}"; set admin.token_file`);
    }
    this.#options = options;
    this.listening = this.#firstListen.promise;
    // Whoever does not ask learns it from run.
    this.listening.catch(() => {});
  }

  /** Where it listens, with the real port; null before. */
  get address(): Address | null {
    return this.#address;
  }

  async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return this.#firstListen.reject(new ProxyError("draining"));
    const server = this.#build();
    try {
      await this.#listen(server);
      await untilAborted(server.server, signal);
    } finally {
      await close(server);
    }
  }

  async #listen(server: FastifyInstance): Promise<void> {
    const { host, port } = this.#options.listen;
    try {
      // Started anew it must be where it was, whatever port it was given then.
      await server.listen({ host, port: this.#address?.port ?? port });
      this.#address = { host, port: (server.server.address() as AddressInfo).port };
      this.#firstListen.resolve(this.#address);
    } catch (cause) {
      const error = listenFailure(this.#options.listen, cause);
      this.#firstListen.reject(error);
      throw error;
    }
  }

  #build(): FastifyInstance {
    const { control, token, requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS } = this.#options;
    const ids = new RequestIds(control.status().region);
    const server = fastify({
      bodyLimit: MAX_BODY_BYTES,
      // Of a path: a host name may have 253 characters.
      routerOptions: { maxParamLength: 300 },
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: 5000,
      forceCloseConnections: "idle",
      http: { headersTimeout: requestTimeoutMs, connectionsCheckingInterval: Math.min(requestTimeoutMs, 1000) },
      schemaController: { compilersFactory: NO_SCHEMAS },
      genReqId: () => ids.next(Date.now()),
      frameworkErrors: (error, request, reply) => void this.#fail(error, request, reply),
      clientErrorHandler: (error, socket) => {
        if (socket.writable && error.code !== "ECONNRESET") socket.end(unreadableResponse(error.code));
        else socket.destroy();
      },
    });
    server.server.maxConnections = MAX_CONNECTIONS;

    const check = createAccessCheck(token);
    server.addHook("onRequest", (request, reply, done) => {
      reply.headers({ "fly-request-id": request.id, "cache-control": "no-store" });
      check(request.url.split("?", 1)[0]!, request.headers);
      done();
    });
    acceptEveryBody(server);
    server.setErrorHandler((error, request, reply) => this.#fail(error, request, reply));
    server.setNotFoundHandler((request, reply) => {
      const error = `there is no ${request.method} ${request.url.split("?", 1)[0]}`;
      return reply.code(404).send({ ...errorResponse({ statusCode: 404 }).body, error });
    });

    addHealthRoutes(server, control);
    addMetricsRoute(server, control);
    addNodeRoutes(server, control);
    addExplainRoute(server, control);
    addAppRoutes(server, control);
    addMachineRoutes(server, control);
    addCertificateRoutes(server, control, token !== null);
    return server;
  }

  #fail(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { status, body } = errorResponse(error);
    if (status >= 500) logFailure(this.#options.log, error, { requestId: request.id, method: request.method, path: request.url });
    // RFC 9110, section 11.6.1: a 401 names the scheme.
    if (status === 401) reply.header("www-authenticate", "Bearer");
    return reply.header("fly-request-id", request.id).code(status).send(body);
  }
}

function noSchemas(): never {
  throw new ProxyError("internal", "a route of the admin API has a schema, and nothing to compile it");
}

/** Fly's clients send `application/json` with nothing in it, curl a form type; only what is JSON is looked at. */
function acceptEveryBody(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "string" }, async (_request: FastifyRequest, body: string) => parseJson(body));
}

function parseJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProxyError("bad_request", "the body is not JSON", { cause });
  }
}

function listenFailure({ host, port }: Address, cause: unknown): ProxyError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const reason = code === "EADDRINUSE" ? "another program listens there; is a node running already?" : message;
  return new ProxyError("config_invalid", `the admin API cannot listen on "${host}" port ${port}: ${reason}`, { cause });
}

/** Rejects when the listener breaks. */
function untilAborted(server: Server, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function close(server: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => server.server.closeAllConnections(), CLOSE_MS);
  await server.close();
  clearTimeout(timer);
}
