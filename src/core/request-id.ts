// Hot path. Request ids as Fly makes them: a ULID, a dash and the region of the edge (reference section 5.1). Randomness is drawn from
// the system in batches, since one call a request would cost more than the id.

import { randomFillSync } from "node:crypto";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BATCH_BYTES = 8192;
/** 80 bits of a ULID, 128 + 64 bits of a trace context. */
const BYTES_PER_ID = 16;
const BYTES_PER_TRACE = 24;

export class RequestIds {
  readonly #suffix: string;
  readonly #random = Buffer.allocUnsafeSlow(BATCH_BYTES);
  #position = BATCH_BYTES;
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
    const start = this.#take(BYTES_PER_ID);
    let text = this.#timeText;
    for (let i = 0; i < 16; i++) text += ALPHABET[this.#random[start + i]! & 31]!;
    return text + this.#suffix;
  }

  /** A W3C trace context that nobody samples (Trace Context, section 3.2). */
  traceparent(): string {
    const start = this.#take(BYTES_PER_TRACE);
    const hex = this.#random.toString("hex", start, start + BYTES_PER_TRACE);
    return `00-${hex.substring(0, 32)}-${hex.substring(32)}-00`;
  }

  #take(bytes: number): number {
    if (this.#position + bytes > BATCH_BYTES) {
      randomFillSync(this.#random);
      this.#position = 0;
    }
    const start = this.#position;
    this.#position += bytes;
    return start;
  }
}

/** 48 bits of time as ten characters, most significant first. */
function timeText(nowMs: number): string {
  let text = "";
  let rest = Math.floor(nowMs);
  for (let i = 0; i < 10; i++) {
    text = ALPHABET[rest % 32]! + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
