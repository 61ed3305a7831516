// Hot path. What leaves on the HTTP/2 connections of a worker. All frames that became ready in one turn of the event loop, of all streams,
// gather in one piece of memory for each connection and leave in one write: one TLS record or a few, one system call.

import type { Socket } from "node:net";
import { FLAG, FRAME, FRAME_HEAD_BYTES } from "../http/http2/frame.ts";
import { writeFrameHead } from "../http/http2/frame-writer.ts";

/** Holds 64 KB of body with its frames: the size from which larger writes gain nothing. */
export const SLAB_BYTES: number = 72 * 1024;
/** Bytes that may wait for the socket before bodies have to. */
const HIGHEST_WAITING_BYTES = 256 * 1024;
/** Beyond this nothing more is read: heads and frames of the connection are not held up by windows, and requests could bring ever more of them. */
const MOST_WAITING_BYTES = 1024 * 1024;
/** Slabs kept for reuse; a burst may have more of them for a while. */
const MOST_FREE = 128;
/** Fewer bytes than this are copied rather than let them hold a slab while they wait for the socket. */
const COPIED_BYTES = 16 * 1024;

const EMPTY = Buffer.alloc(0);

/** The slabs, and which connections have something to say in this turn. One for each worker. */
export class OutputPool {
  readonly #free: Buffer[] = [];
  #dirty: Http2Output[] = [];
  #isScheduled = false;

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  give(slab: Buffer): void {
    if (this.#free.length < MOST_FREE) this.#free.push(slab);
  }

  schedule(output: Http2Output): void {
    this.#dirty.push(output);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    this.#isScheduled = false;
    for (let i = 0; i < dirty.length; i++) dirty[i]!.flush();
  };
}

/** Who owns an output. */
export interface OutputOwner {
  /** A write has been taken by the socket: there may be room again. */
  onWritten(): void;
  /** The socket takes no more for now. */
  onBlocked(): void;
}

export class Http2Output {
  readonly #socket: Socket;
  readonly #pool: OutputPool;
  readonly #owner: OutputOwner;
  /** TLS encrypts during the write, so its bytes are free again as soon as the write returns. */
  readonly #encrypts: boolean;
  /** What has gathered is `slab[0, length)`. */
  slab: Buffer = EMPTY;
  length = 0;
  #isScheduled = false;
  /** For each write that the socket has not told the end of, in order, the slab that it reads from; null for none. */
  readonly #lent: (Buffer | null)[] = [];
  /** Where the last frame begins, if it is the DATA or the whole header block of a stream; -1 otherwise. */
  #lastAt = -1;
  #lastStream = 0;

  constructor(socket: Socket, pool: OutputPool, encrypts: boolean, owner: OutputOwner) {
    this.#socket = socket;
    this.#pool = pool;
    this.#encrypts = encrypts;
    this.#owner = owner;
  }

  /** May more of a body be written without piling up? */
  get isFlowing(): boolean {
    return this.#socket.writableLength + this.length < HIGHEST_WAITING_BYTES;
  }

  /** Does so much wait that the client has to read before it may ask for more? */
  get isFull(): boolean {
    return this.#socket.writableLength + this.length >= MOST_WAITING_BYTES;
  }

  /** Makes room for `bytes`, at most SLAB_BYTES, at `slab[length]`; who writes there adds to `length`. */
  reserve(bytes: number): void {
    this.#lastAt = -1;
    if (this.slab === EMPTY) this.slab = this.#pool.take();
    else if (this.length + bytes > SLAB_BYTES) {
      this.#write();
      this.slab = this.#pool.take();
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#pool.schedule(this);
  }

  /** A frame that may become the last of its stream was written at `at`. */
  markLast(at: number, streamId: number): void {
    this.#lastAt = at;
    this.#lastStream = streamId;
  }

  /** Appends DATA, to the stream's last frame if that is still here. At most a frame's worth. */
  data(streamId: number, buffer: Buffer, start: number, end: number, maxFrameBytes: number): void {
    const bytes = end - start;
    if (this.#isLastData(streamId)) {
      const { slab } = this;
      const at = this.#lastAt;
      const length = this.length - at - FRAME_HEAD_BYTES + bytes;
      if (length <= maxFrameBytes && this.length + bytes <= SLAB_BYTES) {
        slab[at] = length >>> 16;
        slab[at + 1] = length >>> 8;
        slab[at + 2] = length;
        this.length += buffer.copy(slab, this.length, start, end);
        return;
      }
    }
    this.reserve(FRAME_HEAD_BYTES + bytes);
    const at = this.length;
    const position = writeFrameHead(this.slab, at, bytes, FRAME.data, FLAG.none, streamId);
    this.length = position + buffer.copy(this.slab, position, start, end);
    this.markLast(at, streamId);
  }

  /** Ends a stream: in its last frame if that is still here, otherwise with an empty one. */
  endStream(streamId: number): void {
    if (this.#lastAt !== -1 && this.#lastStream === streamId) {
      this.slab[this.#lastAt + 4]! |= FLAG.endStream;
      this.#lastAt = -1;
      return;
    }
    this.reserve(FRAME_HEAD_BYTES);
    this.length = writeFrameHead(this.slab, this.length, 0, FRAME.data, FLAG.endStream, streamId);
  }

  /** Writes what has gathered, unless the socket is still busy with what it got before: then it is written after that. */
  flush(): void {
    this.#isScheduled = false;
    if (this.length === 0) return;
    if (this.#socket.writableLength > 0) this.#owner.onBlocked();
    else this.#write();
  }

  /** Writes what has gathered, ends the sending side, and calls back when all has left. */
  end(onSent: () => void): void {
    if (this.length > 0) this.#write();
    this.#socket.end(onSent);
  }

  /** The connection is gone. */
  discard(): void {
    this.length = 0;
    this.#lastAt = -1;
    if (this.slab !== EMPTY) this.#pool.give(this.slab);
    this.slab = EMPTY;
  }

  #isLastData(streamId: number): boolean {
    return this.#lastAt !== -1 && this.#lastStream === streamId && this.slab[this.#lastAt + 3] === FRAME.data;
  }

  #write(): void {
    const { slab, length } = this;
    const socket = this.#socket;
    this.slab = EMPTY;
    this.length = 0;
    this.#lastAt = -1;
    if (socket.destroyed || length === 0) {
      this.#pool.give(slab);
      return;
    }
    const isBusy = socket.writableLength > 0;
    const bytes = slab.subarray(0, length);
    const isCopied = isBusy && length < COPIED_BYTES;
    const isLent = isBusy ? !isCopied : !this.#encrypts;
    this.#lent.push(isLent ? slab : null);
    socket.write(isCopied ? Buffer.from(bytes) : bytes, this.#onWritten);
    if (!isLent) this.#pool.give(slab);
    if (isBusy) this.#owner.onBlocked();
  }

  readonly #onWritten = (): void => {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const slab = this.#lent.shift()!;
    if (slab !== null) this.#pool.give(slab);
    this.#owner.onWritten();
    if (this.length > 0 && socket.writableLength === 0) this.#write();
  };
}
