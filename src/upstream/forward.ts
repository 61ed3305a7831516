// Hot path. One attempt: the request's head, with what the machine is to know about its client, goes out over a connection of the
// machine's pool. From there on the connection calls the exchange. Step 6 in the life of a request.

import type { ClientAuth } from "../core/app.ts";
import { encodeRequestHead } from "../http/http1/encode.ts";
import { FIELD } from "../http/field-names.ts";
import { flat } from "../http/flat.ts";
import { joinedBefore } from "../http/joined-value.ts";
import type { RequestHead } from "../http/message.ts";
import { acceptsTrailers } from "../http/trailers.ts";
import type { CarriedExchange } from "./connection.ts";
import type { Http2Pool } from "./http2-pool.ts";
import type { Pool } from "./pools.ts";

/** What is the same for every request of a client's connection. */
export interface ClientFacts {
  readonly ip: string;
  /** Whom the connection is from: the client, or a proxy in front of this edge. */
  readonly peerIp: string;
  /** What it says of its clients in `x-forwarded-*` is believed. */
  readonly isTrusted: boolean;
  readonly scheme: "http" | "https";
  /** Address that the client connected to. */
  readonly localIp: string;
  /** Public port that the client connected to. */
  readonly port: number;
  /** Region of this edge. */
  readonly region: string;
  /** null where the client was not asked for a certificate. */
  readonly identity: ClientIdentity | null;
  /** null: whichever its requests name. */
  readonly hosts: ConnectionHosts | null;
  /** What the connection takes of what apps allow its address; null where none of them limits that, the usual case. */
  places: Map<string, number> | null;
}

/** What a connection's requests say of its client's certificate. */
export interface ClientIdentity {
  /** That it was asked for under. */
  readonly rules: ClientAuth;
  /** It is one that those who ask for it trust. */
  readonly isGood: boolean;
  readonly fields: readonly AddedField[];
}

/** Hosts that a connection is secured for. */
export interface ConnectionHosts {
  /** @param host canonical */
  includes(host: string): boolean;
}

/** As `via` names them (RFC 9110 section 7.6.3). */
const VERSIONS: Readonly<Record<number, string>> = { 10: "1.0", 11: "1.1", 20: "2" };

export interface RequestFacts {
  readonly id: string;
  readonly traceparent: string;
  /** Microseconds since the epoch. */
  readonly startedText: string;
  /** More fields for the machine that it goes to now; null for none, the usual case. */
  readonly extra: readonly AddedField[] | null;
}

export function forward(exchange: CarriedExchange, pool: Pool | Http2Pool): void {
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

/** A field that the edge adds; the name in lower case. */
export type AddedField = readonly [name: string, value: string];

/** @param version of the protocol that the client speaks, as in `RequestHead` */
export function clientLines(client: ClientFacts, version: number): ClientLines {
  const fixed = lines(fixedFields(client));
  const usual = lines(forwardedFields(client, "", VERSIONS[version]!, "", String(client.port)));
  return { fixed: flat(fixed), usual: flat(fixed + usual), version };
}

/** What the edge adds to the request's own fields, for a machine that does not get lines. */
export function machineFields(head: RequestHead, client: ClientFacts, request: RequestFacts): AddedField[] {
  return [
    ...fixedFields(client),
    ...changedFields(head, client),
    ["fly-request-id", request.id],
    ["fly-traceparent", request.traceparent],
    ["x-request-start", `t=${request.startedText}`],
    ...(request.extra ?? []),
  ];
}

/** The whole head of the request as the machine gets it. */
export function machineHead(
  head: RequestHead,
  client: ClientFacts,
  ready: ClientLines,
  request: RequestFacts,
  keepsAlive: boolean,
): string {
  const { fields } = head;
  const isUsual =
    head.version === ready.version &&
    fields.find(FIELD.xForwardedFor) === -1 &&
    fields.find(FIELD.via) === -1 &&
    fields.find(FIELD.xForwardedPort) === -1;
  let added =
    `${isUsual ? ready.usual : ready.fixed + lines(changedFields(head, client))}` +
    `fly-request-id: ${request.id}\r\nfly-traceparent: ${request.traceparent}\r\nx-request-start: t=${request.startedText}\r\n`;
  const { extra } = request;
  if (extra !== null) added += lines(extra);
  // What comes back may have trailers only if the client wants them, since it is for it that the edge takes them (RFC 9110 section 10.1.4).
  const wantsTrailers = fields.find(FIELD.te) !== -1 && head.version >= 11 && acceptsTrailers(fields);
  if (wantsTrailers) added += "te: trailers\r\n";
  if (head.upgrade !== "")
    added += `connection: upgrade${wantsTrailers ? ", te" : ""}\r\nupgrade: ${fields.value(fields.find(FIELD.upgrade))}\r\n`;
  else if (!keepsAlive) added += wantsTrailers ? "connection: close, te\r\n" : "connection: close\r\n";
  else if (wantsTrailers) added += "connection: te\r\n";
  return encodeRequestHead(head, added);
}

function fixedFields(client: ClientFacts): AddedField[] {
  const ssl = client.scheme === "https" ? "on" : "off";
  return [
    ["fly-client-ip", client.ip],
    ["fly-forwarded-port", String(client.port)],
    ["fly-forwarded-proto", client.scheme],
    ["fly-forwarded-ssl", ssl],
    ["fly-region", client.region],
    ["x-forwarded-proto", client.scheme],
    ["x-forwarded-ssl", ssl],
    ...(client.identity === null ? [] : client.identity.fields),
  ];
}

/** The fields to which the client's own contribute. */
function changedFields(head: RequestHead, client: ClientFacts): AddedField[] {
  const { fields } = head;
  const port = fields.find(FIELD.xForwardedPort);
  return forwardedFields(
    client,
    joinedBefore(fields, FIELD.xForwardedFor),
    VERSIONS[head.version]!,
    joinedBefore(fields, FIELD.via),
    port === -1 ? String(client.port) : fields.value(port),
  );
}

function forwardedFields(client: ClientFacts, addresses: string, version: string, via: string, port: string): AddedField[] {
  return [
    ["x-forwarded-for", `${addresses}${client.peerIp}, ${client.localIp}`],
    ["via", `${via}${version} kittiwake`],
    ["x-forwarded-port", port],
  ];
}

function lines(fields: readonly AddedField[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}
