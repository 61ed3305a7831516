// One broken behaviour of a machine that speaks HTTP/2: what it sends for a request, and what a client may see of it.

import { block, bytes, data, FLAG, headers, type Bytes, type Field } from "../../support/frames.ts";
import type { Greeting, MachineConnection } from "../../support/frame-machine.ts";
import { MALFORMED, type Sees } from "./hostile-case.ts";

export interface Http2Case {
  readonly title: string;
  /** Default: GET. */
  readonly method?: "GET" | "HEAD" | "POST";
  /** What the machine sends for the request; every time that it comes. */
  readonly sends: (stream: number) => Bytes;
  /** What it does after that. */
  readonly exit?: "waits" | "ends" | "resets";
  /** How its connections begin; the request before and the one beside it are over the same then. */
  readonly greeting?: Greeting;
  readonly sees: Sees;
  readonly interims?: number;
  /** stream: the connection goes on, and so does what else it carries. connection: it must be closed. either: of no importance. */
  readonly breaks: "stream" | "connection" | "either";
}

export const OPEN: number = FLAG.endHeaders;

export function fields(...more: readonly Field[]): Buffer {
  return block([[":status", "200"], ...more]);
}

/** A whole response with these fields instead of proper ones. */
export function whole(list: readonly Field[], body = "STOLEN"): (stream: number) => Bytes {
  return (stream) => bytes(headers(stream, block(list), OPEN), data(stream, body));
}

/** A case whose head alone makes it malformed: an error of the stream, and of nothing else. */
export function malformed(title: string, ...list: readonly Field[]): Http2Case {
  return { title, sends: whole(list), sees: MALFORMED, breaks: "stream" };
}

/** A case of frames that are an error of the connection. */
export function fatal(title: string, sends: (stream: number) => Bytes, sees: Sees = MALFORMED): Http2Case {
  return { title, sends, sees, breaks: "connection" };
}

export function repeat(count: number, part: Bytes): Buffer {
  const once = bytes(part);
  return Buffer.concat(Array.from({ length: count }, () => once));
}

export function leave({ socket }: MachineConnection, exit: Http2Case["exit"]): void {
  if (exit === "ends") socket.end();
  if (exit === "resets") setImmediate(() => socket.resetAndDestroy());
}
