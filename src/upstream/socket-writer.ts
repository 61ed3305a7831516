// Hot path. What is to be written to a socket gathers in one piece of memory that all sockets of a worker share, and leaves in one
// write: the system call is most of what a small message costs.

import type { Socket } from "node:net";

/** Holds a full read of 128 KB with its framing. */
const SLAB_BYTES = 136 * 1024;
/** From here on, bytes that nobody will overwrite are written as they are; copying them would cost more than a second call. */
const DIRECT_BYTES = 16 * 1024;
/** A message up to this long leaves as one string: Node writes it from its own stack, which costs less than a view on the slab. */
const TEXT_BYTES = 4096;

/**
 * The shared memory, and whose bytes are in it: those of `buffer`, then those of `text`. Whoever enters the worker's code from outside
 * ends by flushing it.
 */
export class WriteSlab {
  buffer: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  length = 0;
  text = "";
  owner: SocketWriter | null = null;
  /** Some bytes that were written as they are, without a copy, have not left yet. */
  hasPinned = false;

  flush(): void {
    this.owner?.flush();
  }

  /**
   * What a read brought is used up. A large one that has its memory for itself gives it back at once: V8, which counts its own small
   * objects first, would let such memory pile up until it looked through the whole heap, and that costs more than all else that is done
   * with the bytes. What TLS decrypted shares its memory with what comes next.
   */
  free(chunk: Buffer): void {
    if (chunk.length < DIRECT_BYTES) return;
    const { buffer, length } = chunk;
    if (!this.hasPinned && buffer.byteLength === length && buffer instanceof ArrayBuffer) buffer.transfer(0);
    this.hasPinned = false;
  }

  /** The bytes were handed to a socket that may read them later: they are its own now. */
  giveAway(): void {
    this.buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  }
}

export class SocketWriter {
  readonly #socket: Socket;
  readonly #slab: WriteSlab;
  /** TLS encrypts during the write, so its bytes are free again as soon as the write returns. */
  readonly #encrypts: boolean;
  /** Bytes written so far. */
  bytes = 0;

  constructor(socket: Socket, slab: WriteSlab, encrypts: boolean) {
    this.#socket = socket;
    this.#slab = slab;
    this.#encrypts = encrypts;
  }

  /** May more be written without piling up? Otherwise the socket tells when it is drained. */
  get isFlowing(): boolean {
    const socket = this.#socket;
    if (socket.writableNeedDrain) return false;
    const slab = this.#slab;
    if (!this.#encrypts || slab.owner !== this) return true;
    // TLS takes its time with a write, and another one in the same turn would have to be kept. What is still in the slab is one.
    return slab.length + slab.text.length + socket.writableLength < socket.writableHighWaterMark;
  }

  /** Appends text of which every character is one byte. */
  text(text: string): void {
    this.bytes += text.length;
    const slab = this.#take(text.length);
    if (slab === null) this.#write(Buffer.from(text, "latin1"));
    else slab.text += text;
  }

  /** Appends a copy of `buffer[start, end)`. */
  copy(buffer: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    if (this.#encrypts && end - start >= DIRECT_BYTES && this.#slab.owner !== this && this.#socket.writableLength === 0) {
      this.#write(buffer.subarray(start, end));
      return;
    }
    while (start < end) {
      const part = Math.min(end - start, SLAB_BYTES);
      const slab = this.#take(part)!;
      if (slab.length === 0 && slab.text.length + part <= TEXT_BYTES) slab.text += buffer.toString("latin1", start, start + part);
      else {
        settle(slab);
        buffer.copy(slab.buffer, slab.length, start, start + part);
        slab.length += part;
      }
      start += part;
    }
  }

  /** Appends `buffer[start, end)`, which nobody will overwrite. */
  own(buffer: Buffer, start: number, end: number): void {
    if (end - start < DIRECT_BYTES) {
      this.copy(buffer, start, end);
      return;
    }
    this.bytes += end - start;
    this.flush();
    this.#write(buffer.subarray(start, end));
    if (this.#socket.writableLength > 0) this.#slab.hasPinned = true;
  }

  flush(): void {
    const slab = this.#slab;
    if (slab.owner !== this) return;
    slab.owner = null;
    const socket = this.#socket;
    if (slab.length === 0 && slab.text.length <= TEXT_BYTES) {
      const text = slab.text;
      slab.text = "";
      if (text.length > 0 && !socket.destroyed) socket.write(text, "latin1");
      return;
    }
    settle(slab);
    const bytes = slab.buffer.subarray(0, slab.length);
    slab.length = 0;
    if (socket.writableLength > 0) {
      // Behind what the socket has not sent yet these bytes wait, and a few must not hold a whole slab while they do.
      this.#write(Buffer.from(bytes));
      return;
    }
    this.#write(bytes);
    if (!this.#encrypts && socket.writableLength > 0) slab.giveAway();
  }

  #write(bytes: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** Room for `bytes` in the slab, flushed first if need be; null when they never fit. */
  #take(bytes: number): WriteSlab | null {
    const slab = this.#slab;
    if (slab.owner !== this) {
      slab.owner?.flush();
      slab.owner = this;
    }
    if (slab.length + slab.text.length + bytes <= SLAB_BYTES) return slab;
    this.flush();
    if (bytes > SLAB_BYTES) return null;
    slab.owner = this;
    return slab;
  }
}

/** Turns what is text yet into bytes, so that bytes can follow. */
function settle(slab: WriteSlab): void {
  if (slab.text === "") return;
  slab.length += slab.buffer.write(slab.text, slab.length, "latin1");
  slab.text = "";
}
