// One probe of one check, over the network: does it pass, and one line for people. Reference sections 1.7 and 7.1.

import { connect, isIPv6 } from "node:net";

import type { Address, HttpCheck, ServiceCheck } from "../core/app.ts";
import type { CheckStatus } from "../core/machine.ts";

export interface ProbeOutcome {
  readonly status: CheckStatus;
  readonly output: string;
}

/** A body is read to its end, but not for ever: an endless one is cut here and judged by its status. */
const MAX_BODY_BYTES = 64 * 1024;

/**
 * Never rejects: whatever goes wrong is the outcome. Bounded by the check's timeout.
 *
 * @param signal gives up early
 */
export async function probe(check: ServiceCheck, address: Address, signal: AbortSignal): Promise<ProbeOutcome> {
  const late = AbortSignal.timeout(check.timeoutMs);
  const bounded = AbortSignal.any([signal, late]);
  const target = check.type === "tcp" ? `TCP ${authority(address)}` : `HTTP ${check.method} ${origin(check, address)}${check.path}`;
  try {
    const outcome = check.type === "tcp" ? await probeTcp(address, bounded) : await probeHttp(check, address, bounded);
    return { status: outcome.status, output: `${target}: ${outcome.output}` };
  } catch (error) {
    return { status: "critical", output: `${target}: ${late.aborted ? `no answer within ${check.timeoutMs} ms` : describe(error)}` };
  }
}

function probeTcp(address: Address, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address.host, port: address.port, signal });
    socket.once("connect", () => {
      socket.destroy();
      resolve({ status: "passing", output: "accepts connections" });
    });
    // Stays attached after the end: an error that comes late must not become an uncaught one.
    socket.on("error", reject);
  });
}

/** Any 2xx passes, and a redirect is not followed. The Host header is the address and port, as on Fly. */
async function probeHttp(check: HttpCheck, address: Address, signal: AbortSignal): Promise<ProbeOutcome> {
  const { method, path, headers, tlsSkipVerify, tlsServerName, timeoutMs } = check;
  // Not before somebody needs them: they are the largest of what a node can start without.
  const [{ Client }, { STATUS_CODES }] = await Promise.all([import("undici"), import("node:http")]);
  const client = new Client(origin(check, address), {
    connect: { timeout: timeoutMs, rejectUnauthorized: !tlsSkipVerify, ...(tlsServerName === null ? {} : { servername: tlsServerName }) },
    allowH2: false,
    maxCachedSessions: 0,
  });
  try {
    // `reset` asks the machine not to keep the connection: the next probe must find out whether it still accepts.
    const response = await client.request({ method, path, headers, signal, reset: true });
    await readBody(response.body);
    const { statusCode } = response;
    const text = `${statusCode} ${STATUS_CODES[statusCode] ?? ""}`.trimEnd();
    return { status: statusOf(statusCode), output: text };
  } finally {
    await client.destroy();
  }
}

/** 429 is a warning, as it is for Consul, where these three states come from: a machine with much to do can say so and is not given up. */
function statusOf(statusCode: number): CheckStatus {
  if (statusCode >= 200 && statusCode < 300) return "passing";
  return statusCode === 429 ? "warning" : "critical";
}

/** A body that ends too early rejects. */
async function readBody(body: AsyncIterable<Uint8Array>): Promise<void> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return;
  }
}

function origin(check: HttpCheck, address: Address): string {
  return `${check.protocol}://${authority(address)}`;
}

function authority({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** undici, node:net and OpenSSL say what went wrong in `code`, `reason`, `message`, or one level down. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, reason } = error as NodeJS.ErrnoException & { readonly reason?: unknown };
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ECONNRESET" || code === "UND_ERR_SOCKET") return "connection closed before the answer";
  if (typeof reason === "string") return `TLS failed: ${reason}`;
  if (error.message !== "") return error.message;
  return error.cause === undefined ? error.name : describe(error.cause);
}
