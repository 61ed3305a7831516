// One broken response in a table: what a machine writes, what it does then, and what a client may see of it.

import { response } from "../../support/scripted-backend.ts";

/** Exactly one of these is what the client sees; a body that is not the machine's own and whole is none of them. */
export type Sees =
  /** An error of the edge, with one of these codes. */
  | { readonly kind: "error"; readonly codes: readonly string[] }
  /** A response that ends before its end, so that everybody notices. */
  | { readonly kind: "cut" }
  /** Either of the two: how far a reset overtakes what was sent before it is up to the network. */
  | { readonly kind: "broken" }
  /** The whole response. */
  | { readonly kind: "whole"; readonly status: number; readonly body: string };

export interface HostileCase {
  readonly title: string;
  /** Default: GET. */
  readonly method?: "GET" | "HEAD" | "POST";
  /** Further lines of the request's head. */
  readonly asks?: readonly string[];
  /** In pieces: each is written when the one before is on its way. */
  readonly sends: string | readonly string[];
  /** Written when the client has the response. */
  readonly late?: string;
  /** Default: waits. */
  readonly exit?: "waits" | "ends" | "resets";
  readonly sees: Sees;
  /** Interim responses that the client gets before; default: any number. */
  readonly interims?: number;
  /** The response is in order: the machine's connection is used again. Otherwise it must be closed. */
  readonly isReused?: boolean;
  /** What the client gets nowhere, besides `STOLEN`. */
  readonly hides?: string;
  /** The client can ask so only in this protocol. */
  readonly only?: "HTTP/1.1";
}

/** In what no client may ever see. */
export const STOLEN_MARK = "STOLEN";
/** A response that belongs to nobody. */
export const STOLEN = response(STOLEN_MARK);
export const OK = "HTTP/1.1 200 OK\r\n";
export const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

export const MALFORMED: Sees = { kind: "error", codes: ["bad_response"] };
/** Nothing of a response came. */
export const NOTHING: Sees = { kind: "error", codes: ["upstream_closed", "upstream_reset"] };
export const CUT: Sees = { kind: "cut" };
export const BROKEN: Sees = { kind: "broken" };

export function whole(body: string, status = 200): Sees {
  return { kind: "whole", status, body };
}

/** A head with these lines and no body. */
export function emptyWith(...lines: readonly string[]): string {
  return `${OK}${lines.map((line) => `${line}\r\n`).join("")}content-length: 0\r\n\r\n`;
}

/** A head with these lines and five bytes behind it. */
export function helloWith(...lines: readonly string[]): string {
  return `${OK}${lines.map((line) => `${line}\r\n`).join("")}\r\nhello`;
}
