// Hot path. A short body, taken whole before a machine is looked for: each attempt gets all of it, and then its end.

import { EditedFields } from "../http/edited-head.ts";
import type { Fields, RequestHead } from "../http/message.ts";
import type { Carrier } from "../upstream/connection.ts";
import { HeldBytes } from "../upstream/held-bytes.ts";

/** Of a client that waits for a 100 there is none: only the machine can give that. */
export function canBeHeld({ body, contentLength, expectsContinue }: RequestHead, mostBytes: number): boolean {
  return body === "length" && !expectsContinue && contentLength <= mostBytes;
}

export class HeldBody {
  readonly #bytes = new HeldBytes();
  #trailers: Fields | null = null;

  append(buffer: Buffer, start: number, end: number): void {
    this.#bytes.append(buffer, start, end);
  }

  setTrailers(fields: Fields): void {
    this.#trailers = EditedFields.copyOf(fields);
  }

  /** Nobody overwrites the bytes, so an attempt that is made again sends the same. */
  sendTo(carrier: Carrier): void {
    const { buffer, start, end } = this.#bytes;
    carrier.sendData(buffer, start, end);
    if (this.#trailers !== null) carrier.sendTrailers(this.#trailers);
    carrier.sendEnd();
  }
}
