// Hot path. Where the frames of a WebSocket begin and end as they pass (RFC 6455 section 5.2), and the close frame that the edge sends
// itself. Nothing of a frame is kept or changed.

import { randomFillSync } from "node:crypto";

const OPCODE_CLOSE = 8;
/** The longest head: two bytes, a length of eight, a mask of four. */
const MOST_HEAD_BYTES = 14;

/** Follows one direction. Knows nothing any more of one whose frames are longer than any can be. */
export class FrameTracker {
  /** A close frame has begun to pass: nothing may follow it. */
  hasClosed = false;
  /** Bytes of the frame under way that are still to come, once its head is whole. */
  #left = 0;
  /** The beginning of a head that came in parts; null between frames, and behind a head. */
  #head: Buffer | null = null;
  #isLost = false;

  /** Whether a frame of the edge's own may come now. */
  get isBetween(): boolean {
    return this.#left === 0 && this.#head === null && !this.#isLost;
  }

  /** All of it passes. */
  pass(buffer: Buffer, start: number, end: number): void {
    while (start < end) start = this.#step(buffer, start, end);
  }

  /** Only as much of it passes as ends the frame under way; returns the position behind that, `end` when it goes on. */
  passFrame(buffer: Buffer, start: number, end: number): number {
    while (start < end && !this.isBetween) start = this.#step(buffer, start, end);
    return start;
  }

  #step(buffer: Buffer, start: number, end: number): number {
    if (this.#isLost) return end;
    if (this.#left > 0) {
      const bytes = Math.min(this.#left, end - start);
      this.#left -= bytes;
      return start + bytes;
    }
    if (this.#head !== null) return this.#completeHead(this.#head, buffer, start, end);
    const behind = this.#readHead(buffer, start, end);
    if (behind !== -1) return behind;
    this.#head = Buffer.from(buffer.subarray(start, end));
    return end;
  }

  #completeHead(begun: Buffer, buffer: Buffer, start: number, end: number): number {
    const head = Buffer.concat([begun, buffer.subarray(start, Math.min(end, start + MOST_HEAD_BYTES - begun.length))]);
    const behind = this.#readHead(head, 0, head.length);
    this.#head = behind === -1 ? head : null;
    return behind === -1 ? end : start + behind - begun.length;
  }

  /** Returns the position behind the head, or -1 when it is not whole. */
  #readHead(buffer: Buffer, start: number, end: number): number {
    if (end - start < 2) return -1;
    const second = buffer[start + 1]!;
    const short = second & 0x7f;
    const bytes = 2 + (short === 127 ? 8 : short === 126 ? 2 : 0) + (second & 0x80 ? 4 : 0);
    if (end - start < bytes) return -1;
    if ((buffer[start]! & 0x0f) === OPCODE_CLOSE) this.hasClosed = true;
    if (short < 126) this.#left = short;
    else if (short === 126) this.#left = buffer.readUInt16BE(start + 2);
    else {
      this.#left = buffer.readUInt32BE(start + 2) * 2 ** 32 + buffer.readUInt32BE(start + 6);
      this.#isLost = !Number.isSafeInteger(this.#left);
    }
    return start + bytes;
  }
}

/** A close frame without a reason; masked where it goes to a machine, which takes the edge for the client. */
export function closeFrame(code: number, isMasked: boolean): Buffer {
  const frame = Buffer.alloc(isMasked ? 8 : 4);
  frame[0] = 0x80 | OPCODE_CLOSE;
  frame[1] = isMasked ? 0x82 : 2;
  frame.writeUInt16BE(code, frame.length - 2);
  if (isMasked) {
    randomFillSync(frame, 2, 4);
    for (let i = 0; i < 2; i++) frame[6 + i]! ^= frame[2 + i]!;
  }
  return frame;
}
