// Hot path. One attempt: the request's head, with what the machine is to know about its client, goes out over a connection of the
// machine's pool. From there on the connection calls the exchange. Step 6 in the life of a request.

import { encodeRequestHead } from "../http/http1/encode.ts";
import { FIELD } from "../http/field-names.ts";
import type { RequestHead } from "../http/message.ts";
import { acceptsTrailers } from "../http/trailers.ts";
import type { CarriedExchange } from "./connection.ts";
import type { Pool } from "./pools.ts";

/** What is the same for every request of a client's connection. */
export interface ClientFacts {
  readonly ip: string;
  readonly scheme: "http" | "https";
  /** Address that the client connected to. */
  readonly localIp: string;
  /** Public port that the client connected to. */
  readonly port: number;
  /** Region of this edge. */
  readonly region: string;
}

/** As `via` names them (RFC 9110 section 7.6.3). */
const VERSIONS: Readonly<Record<number, string>> = { 10: "1.0", 11: "1.1", 20: "2" };

export interface RequestFacts {
  readonly id: string;
  readonly traceparent: string;
  /** Microseconds since the epoch. */
  readonly startedText: string;
}

export function forward(exchange: CarriedExchange, pool: Pool): void {
  pool.carry(exchange);
}

/** The lines that depend only on the connection; made once for it. Reference section 5.1. */
export interface ClientLines {
  /** Those that every request gets. */
  readonly fixed: string;
  /** The same, then those that a client's own fields change, for the usual request that has none of them. */
  readonly usual: string;
  /** Of the requests that it is usual for. */
  readonly version: number;
}

/** @param version of the protocol that the client speaks, as in `RequestHead` */
export function clientLines(client: ClientFacts, version: number): ClientLines {
  const ssl = client.scheme === "https" ? "on" : "off";
  const fixed =
    `fly-client-ip: ${client.ip}\r\n` +
    `fly-forwarded-port: ${client.port}\r\n` +
    `fly-forwarded-proto: ${client.scheme}\r\n` +
    `fly-forwarded-ssl: ${ssl}\r\n` +
    `fly-region: ${client.region}\r\n` +
    `x-forwarded-proto: ${client.scheme}\r\n` +
    `x-forwarded-ssl: ${ssl}\r\n`;
  return { fixed: flat(fixed), usual: flat(fixed + forwardedLines(client, "", VERSIONS[version]!, "", String(client.port))), version };
}

/** The whole head of the request as the machine gets it. */
export function machineHead(
  head: RequestHead,
  client: ClientFacts,
  lines: ClientLines,
  request: RequestFacts,
  keepsAlive: boolean,
): string {
  const { fields } = head;
  const isUsual =
    head.version === lines.version &&
    fields.find(FIELD.xForwardedFor) === -1 &&
    fields.find(FIELD.via) === -1 &&
    fields.find(FIELD.xForwardedPort) === -1;
  let added =
    `${isUsual ? lines.usual : lines.fixed + changedLines(head, client)}` +
    `fly-request-id: ${request.id}\r\nfly-traceparent: ${request.traceparent}\r\nx-request-start: t=${request.startedText}\r\n`;
  // What comes back may have trailers only if the client wants them, since it is for it that the edge takes them (RFC 9110 section 10.1.4).
  const wantsTrailers = fields.find(FIELD.te) !== -1 && head.version >= 11 && acceptsTrailers(fields);
  if (wantsTrailers) added += "te: trailers\r\n";
  if (head.upgrade !== "")
    added += `connection: upgrade${wantsTrailers ? ", te" : ""}\r\nupgrade: ${fields.value(fields.find(FIELD.upgrade))}\r\n`;
  else if (!keepsAlive) added += wantsTrailers ? "connection: close, te\r\n" : "connection: close\r\n";
  else if (wantsTrailers) added += "connection: te\r\n";
  return encodeRequestHead(head, added);
}

/** The lines to which the client's own fields contribute. */
function changedLines(head: RequestHead, client: ClientFacts): string {
  const { fields } = head;
  const port = fields.find(FIELD.xForwardedPort);
  return forwardedLines(
    client,
    joined(head, FIELD.xForwardedFor),
    VERSIONS[head.version]!,
    joined(head, FIELD.via),
    port === -1 ? String(client.port) : fields.value(port),
  );
}

function forwardedLines(client: ClientFacts, addresses: string, version: string, via: string, port: string): string {
  return (
    `x-forwarded-for: ${addresses}${client.ip}, ${client.localIp}\r\n` +
    `via: ${via}${version} kittiwake\r\n` +
    `x-forwarded-port: ${port}\r\n`
  );
}

/** All values of a list field, each followed by a comma, so that one more can be appended. */
function joined(head: RequestHead, id: number): string {
  const { fields } = head;
  const first = fields.find(id);
  if (first === -1) return "";
  let text = "";
  for (let i = first; i < fields.count; i++) if (fields.id(i) === id) text += `${fields.value(i)}, `;
  return text;
}

/** As one flat piece of text, or every request would put it together again. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
