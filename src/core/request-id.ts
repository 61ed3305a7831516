// Hot path. Request ids as Fly makes them: a ULID, a dash and the region of the edge (reference section 5.1). Randomness is drawn from
// the system and turned into text for many requests at a time, so that one request costs two substrings.

import { randomBytes } from "node:crypto";

const ALPHABET = Buffer.from("0123456789ABCDEFGHJKMNPQRSTVWXYZ", "latin1");
/** Requests that one batch of randomness is enough for. */
const BATCH = 256;
/** 80 bits of a ULID, five in a character. */
const ID_CHARACTERS = 16;
/** 128 and 64 bits of a trace context. */
const TRACE_BYTES = 24;
const TRACE_ID_BYTES = 16;
const HEX_DIGITS = Buffer.from("0123456789abcdef", "latin1");
/** Of `00-`, 32 and 16 hexadecimal digits with a dash between them, and `-00`. */
const TRACE_CHARACTERS = 55;

export class RequestIds {
  readonly #suffix: string;
  #idText = "";
  #idsLeft = 0;
  readonly #traceBytes = Buffer.from(`00-${"0".repeat(32)}-${"0".repeat(16)}-00`.repeat(BATCH), "latin1");
  #traceText = "";
  #tracesLeft = 0;
  #timeMs = -1;
  #timeText = "";

  constructor(region: string) {
    this.#suffix = `-${region}`;
  }

  /** @param nowMs milliseconds since the epoch */
  next(nowMs: number): string {
    if (nowMs !== this.#timeMs) {
      this.#timeMs = nowMs;
      this.#timeText = timeText(nowMs);
    }
    if (this.#idsLeft === 0) this.#drawIds();
    const at = --this.#idsLeft * ID_CHARACTERS;
    return this.#timeText + this.#idText.substring(at, at + ID_CHARACTERS) + this.#suffix;
  }

  /** A W3C trace context that nobody samples (Trace Context, section 3.2). */
  traceparent(): string {
    if (this.#tracesLeft === 0) this.#drawTraces();
    const at = --this.#tracesLeft * TRACE_CHARACTERS;
    return this.#traceText.substring(at, at + TRACE_CHARACTERS);
  }

  #drawIds(): void {
    const characters = randomBytes(BATCH * ID_CHARACTERS);
    for (let i = 0; i < characters.length; i++) characters[i] = ALPHABET[characters[i]! & 31]!;
    this.#idText = characters.toString("latin1");
    this.#idsLeft = BATCH;
  }

  #drawTraces(): void {
    const bytes = randomBytes(BATCH * TRACE_BYTES);
    const text = this.#traceBytes;
    for (let i = 0, at = 0; i < bytes.length; i++) {
      const inTrace = i % TRACE_BYTES;
      if (inTrace === 0) at += 3;
      else if (inTrace === TRACE_ID_BYTES) at += 1;
      text[at++] = HEX_DIGITS[bytes[i]! >> 4]!;
      text[at++] = HEX_DIGITS[bytes[i]! & 15]!;
      if (inTrace === TRACE_BYTES - 1) at += 3;
    }
    this.#traceText = text.toString("latin1");
    this.#tracesLeft = BATCH;
  }
}

/** 48 bits of time as ten characters, most significant first. */
function timeText(nowMs: number): string {
  let text = "";
  let rest = Math.floor(nowMs);
  for (let i = 0; i < 10; i++) {
    text = String.fromCharCode(ALPHABET[rest % 32]!) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
