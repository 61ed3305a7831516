// Where a plain-text request goes that must come over HTTPS (reference section 2.8).

import { parseAuthority } from "../http/authority.ts";
import type { RequestHead } from "../http/message.ts";

/** Which port is bound for HTTP and for HTTPS on this edge; another one where ports are mapped. */
export interface HttpsPorts {
  readonly boundHttp: number;
  readonly boundHttps: number;
}

/**
 * The same URL over HTTPS. A client that named our bound port reached us without a port mapping and needs the bound HTTPS port; one
 * that named no port, or another, came through a mapping, and the HTTPS port is the usual one.
 */
export function httpsLocation(head: RequestHead, ports: HttpsPorts): string {
  const port = parseAuthority(head.authority)?.port ?? null;
  const target = head.target === "*" ? "/" : head.target;
  const suffix = port === ports.boundHttp && ports.boundHttps !== 443 ? `:${ports.boundHttps}` : "";
  return `https://${head.host}${suffix}${target}`;
}
