// Who may use the admin API. With a token: whoever has it. Without one the API listens on loopback alone, and refuses what a web page in the
// operator's own browser could send: requests from another origin, and requests for a name that was made to point here (DNS rebinding).

import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

import { ProxyError } from "../core/errors.ts";

/** Throws `forbidden` or `unauthorized` for a request that is not let in. */
export type AccessCheck = (path: string, headers: IncomingHttpHeaders) => void;

/** What a load balancer or a container engine asks; tells nothing but yes or no. */
const OPEN_TO_ALL: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/** @param token null: none is needed, which is safe on loopback alone */
export function createAccessCheck(token: string | null): AccessCheck {
  return token === null ? checkOrigin : createTokenCheck(token);
}

/** Does only this machine reach it? Names below "localhost" count, RFC 6761 reserves them. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  return isIP(host) === 4 ? host.startsWith("127.") : host === "::1";
}

function checkOrigin(_path: string, { origin, host = "" }: IncomingHttpHeaders): void {
  if (origin !== undefined) throw new ProxyError("forbidden", `requests of web pages are refused, got origin ${JSON.stringify(origin)}`);
  if (!isLoopback(hostnameOf(host))) throw new ProxyError("forbidden", `expected a loopback address as host, got ${JSON.stringify(host)}`);
}

function createTokenCheck(token: string): AccessCheck {
  const expected = digest(token);
  return (path, { authorization = "" }) => {
    if (OPEN_TO_ALL.has(path)) return;
    const given = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (given === undefined) throw new ProxyError("unauthorized", "expected a token: authorization: Bearer <token>");
    if (!timingSafeEqual(digest(given), expected)) throw new ProxyError("unauthorized", "this is not the token of this node");
  };
}

/** Of equal length whatever the text, which timingSafeEqual asks for. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** "[::1]:4280" is "::1". Anything that is not host and port stays as it is, and is no loopback address. */
function hostnameOf(host: string): string {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d+)?$/.exec(host.toLowerCase());
  return match?.[1] ?? match?.[2] ?? host;
}
