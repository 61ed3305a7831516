// What the access log says of an exchange, of a connection without any, and of what was none.

import { FIELD } from "../http/field-names.ts";
import type { Ends } from "../core/ends.ts";
import { ERRORS, type ErrorCode } from "../core/errors.ts";
import { FLY_CODES, flyFailure } from "../core/fly-codes.ts";
import type { PortKind } from "../core/port-kind.ts";
import type { AccessLine } from "../telemetry/access-log.ts";
import type { Sender } from "./client-connection.ts";
import { isInPanic } from "./attempts.ts";
import type { Exchange } from "./exchange.ts";
import type { EdgeMachine, EdgeService } from "./edge-app.ts";

interface Failed {
  readonly code: ErrorCode | null;
  readonly attempts: number;
}

const NO_FAILURE = { code: undefined, fly_code: undefined, message: undefined };

/** Of an exchange that is over. */
export function exchangeLine(exchange: Exchange): AccessLine {
  const { channel, head, service, lastMachine, respondedMs } = exchange;
  const userAgent = head.fields.find(FIELD.userAgent);
  return {
    id: exchange.id,
    client: exchange.client.ip,
    method: head.method,
    host: head.authority,
    path: head.target,
    protocol: channel.protocol,
    scheme: exchange.client.scheme,
    port: undefined,
    status: exchange.status,
    ...failureOf(exchange, true),
    app: service?.app,
    region: lastMachine?.region,
    machine: lastMachine?.id,
    attempts: exchange.attempts,
    panic: isInPanic(exchange) || undefined,
    duration_ms: rounded(performance.now() - exchange.startedMs),
    ttfb_ms: respondedMs === 0 ? undefined : rounded(respondedMs - exchange.startedMs),
    wait_ms: exchange.heldMs === 0 ? undefined : rounded(exchange.heldMs),
    wake_ms: exchange.hadToWake ? rounded(exchange.heldMs) : undefined,
    bytes_in: exchange.bytesReceived,
    bytes_out: exchange.bytesSent,
    user_agent: userAgent === -1 ? undefined : head.fields.value(userAgent),
  };
}

/** Of a request that could not be read, of which nothing is known but where it came from. */
export function unreadableLine({ client, protocol, bytesSent }: Sender, code: ErrorCode, requestId: string): AccessLine {
  return {
    id: requestId,
    client: client.ip,
    method: "",
    host: "",
    path: "",
    protocol,
    scheme: client.scheme,
    port: undefined,
    status: ERRORS[code].status,
    code,
    fly_code: FLY_CODES[code],
    message: undefined,
    app: undefined,
    region: undefined,
    machine: undefined,
    attempts: 0,
    panic: undefined,
    duration_ms: 0,
    ttfb_ms: undefined,
    wait_ms: undefined,
    wake_ms: undefined,
    bytes_in: 0,
    bytes_out: bytesSent,
    user_agent: undefined,
  };
}

/** A connection without the http handler, or a session of UDP. */
export interface LoggedConnection {
  readonly id: string;
  readonly facts: { readonly kind: PortKind; readonly ends: Ends; readonly serverName: string | null };
  readonly service: EdgeService;
  readonly lastMachine: EdgeMachine | null;
  readonly code: ErrorCode | null;
  readonly attempts: number;
  /** By performance.now(). */
  readonly startedMs: number;
  readonly heldMs: number;
  readonly hadToWake: boolean;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** Of one that is over. */
export function connectionLine(connection: LoggedConnection): AccessLine {
  const { facts, service, lastMachine } = connection;
  return {
    id: connection.id,
    client: facts.ends.sourceIp,
    method: "",
    host: facts.serverName ?? "",
    path: "",
    protocol: facts.kind === "udp" ? "UDP" : "TCP",
    scheme: facts.kind,
    port: facts.ends.destinationPort,
    status: 0,
    ...failureOf(connection, false),
    app: service.app,
    region: lastMachine?.region,
    machine: lastMachine?.id,
    attempts: connection.attempts,
    panic: isInPanic(connection) || undefined,
    duration_ms: rounded(performance.now() - connection.startedMs),
    ttfb_ms: undefined,
    wait_ms: connection.heldMs === 0 ? undefined : rounded(connection.heldMs),
    wake_ms: connection.hadToWake ? rounded(connection.heldMs) : undefined,
    bytes_in: connection.bytesReceived,
    bytes_out: connection.bytesSent,
    user_agent: undefined,
  };
}

function failureOf({ code, attempts }: Failed, isRequest: boolean): Pick<AccessLine, "code" | "fly_code" | "message"> {
  if (code === null) return NO_FAILURE;
  const fly = flyFailure(code, attempts, isRequest);
  return { code, fly_code: fly?.code, message: fly?.message };
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
