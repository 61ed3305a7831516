// Hot path. What was taken of a request's body, so that another attempt can send it again: a short one, taken whole before a machine is
// looked for, or a copy of a longer one that is made while it streams. `KeptBodies` bounds the copies, each and all together; one that
// would grow beyond is dropped, and its request cannot be sent again (`Exchange.canResend`). An attempt begins with `sendTo`, which
// sends what there is, and the end if that has come; the rest follows as it comes. Used for retries and for replays alike.

import { EditedFields } from "../http/edited-head.ts";
import type { Fields, RequestHead } from "../http/message.ts";
import type { Carrier } from "../upstream/connection.ts";
import { HeldBytes } from "../upstream/held-bytes.ts";
import { isIdempotent } from "../upstream/retryable.ts";

/** Of a client that waits for a 100 there is none: only the machine can give that. */
export function canBeHeld({ body, contentLength, expectsContinue }: RequestHead, mostBytes: number): boolean {
  return body === "length" && !expectsContinue && contentLength <= mostBytes;
}

/** For a body that was found short enough to be held. */
export function wholeBody(): KeptBody {
  return new KeptBody(null, Infinity);
}

export interface KeptBodiesOptions {
  /** Longest body that is kept for another attempt of a request that may be made twice (RFC 9110 section 9.2.2); reference section 2.7. */
  readonly retryBytes: number;
  /** Longest body that is kept of any other request, which the machine may want to have replayed elsewhere; reference section 2.7. */
  readonly replayBytes: number;
  /** Most bytes of all copies at once. Memory can be twice that, since each grows by doubling. */
  readonly totalBytes: number;
}

/** The copies that a worker makes. */
export class KeptBodies {
  readonly #options: KeptBodiesOptions;
  #heldBytes = 0;

  constructor(options: KeptBodiesOptions) {
    this.#options = options;
  }

  /** A copy to be made of a body of which nothing has come yet; null where it could not be whole. */
  begin({ method, body, contentLength }: RequestHead): KeptBody | null {
    const { retryBytes, replayBytes } = this.#options;
    const mostBytes = isIdempotent(method) ? Math.max(retryBytes, replayBytes) : replayBytes;
    if (mostBytes === 0 || (body === "length" && !this.#hasRoom(contentLength, mostBytes))) return null;
    return new KeptBody(this, mostBytes);
  }

  /** True: so many more bytes are taken of what all may have. */
  take(bytes: number): boolean {
    if (!this.#hasRoom(bytes, Infinity)) return false;
    this.#heldBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  #hasRoom(bytes: number, mostBytes: number): boolean {
    return bytes <= mostBytes && this.#heldBytes + bytes <= this.#options.totalBytes;
  }
}

export class KeptBody {
  readonly #bytes = new HeldBytes();
  readonly #all: KeptBodies | null;
  readonly #mostBytes: number;
  #trailers: Fields | null = null;
  #hasEnded = false;

  /** @param all what else is kept; null for a body that is held whole, which has bounds of its own */
  constructor(all: KeptBodies | null, mostBytes: number) {
    this.#all = all;
    this.#mostBytes = mostBytes;
  }

  /** False: it is longer than may be kept, and of no more use. */
  append(buffer: Buffer, start: number, end: number): boolean {
    const bytes = end - start;
    if (this.#bytes.length + bytes > this.#mostBytes || this.#all?.take(bytes) === false) return false;
    this.#bytes.append(buffer, start, end);
    return true;
  }

  setTrailers(fields: Fields): void {
    this.#trailers = EditedFields.copyOf(fields);
  }

  setEnd(): void {
    this.#hasEnded = true;
  }

  /**
   * Sends all that was kept, and the end if that has come. Nobody overwrites the bytes, so each attempt sends the same. False: stop until
   * `onUpstreamDrain`.
   */
  sendTo(carrier: Carrier): boolean {
    const { buffer, start, end } = this.#bytes;
    const isFlowing = end === start || carrier.sendData(buffer, start, end);
    if (this.#trailers !== null) carrier.sendTrailers(this.#trailers);
    if (this.#hasEnded) carrier.sendEnd();
    return isFlowing;
  }

  /** Gives back what it takes of the bound on all. */
  drop(): void {
    this.#all?.give(this.#bytes.length);
    this.#bytes.clear();
  }
}
