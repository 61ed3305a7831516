// Hot path. The sending half of an HTTP/2 connection: header blocks in order, bodies as far as the other end's windows and the socket
// allow, and the streams that wait for either, which take turns (RFC 9113 sections 5.2 and 6.9).

import { ConnectionError, H2_ERROR } from "../http/http2/connection-error.ts";
import { DEFAULT_WINDOW, FLAG, FRAME, FRAME_HEAD_BYTES, HIGHEST_WINDOW } from "../http/http2/frame.ts";
import {
  SMALL_FRAME_BYTES,
  writeFrameHead,
  writeGoaway,
  writePing,
  writeReset,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../http/http2/frame-writer.ts";
import { HpackEncoder } from "../http/http2/hpack-encoder.ts";
import { PeerSettings } from "../http/http2/peer-settings.ts";
import type { HeldBytes } from "./held-bytes.ts";
import { type Http2Output, SLAB_BYTES } from "./http2-output.ts";

/** A stream as far as sending is concerned. */
export interface SendingStream {
  readonly id: number;
  /** What the other end will take; negative after it took back some (RFC 9113 section 6.9.2). */
  sendWindow: number;
  /** Body that could not be sent yet. */
  readonly held: HeldBytes;
  isQueued: boolean;
  /** So many bytes of what it held were sent; with none left there is room again for more. */
  onProgress(bytes: number): void;
}

/** Room that is asked for a header block in front; one that is larger is put together elsewhere and copied. */
const USUAL_BLOCK_BYTES = 2048;
/** A larger frame gains nothing, and would keep others waiting. */
const MOST_FRAME_BYTES = 32 * 1024;

export class Http2Sender {
  readonly output: Http2Output;
  readonly peer = new PeerSettings();
  readonly encoder = new HpackEncoder();
  /** What the other end will take on all streams together. */
  window: number = DEFAULT_WINDOW;
  /** Body bytes sent so far. */
  bodyBytes = 0;
  /** Streams whose body could go on but for the connection's window or the socket. */
  readonly #queue: SendingStream[] = [];
  /** Streams that hold nothing, and want to hear when the socket has room again. */
  readonly #listening: SendingStream[] = [];

  constructor(output: Http2Output) {
    this.output = output;
  }

  /** A header block follows, by calls on the encoder that is returned, then `endBlock`. Nothing else may be sent in between. */
  beginBlock(): HpackEncoder {
    const { output, encoder } = this;
    output.reserve(USUAL_BLOCK_BYTES);
    encoder.begin(output.slab, output.length + FRAME_HEAD_BYTES);
    return encoder;
  }

  /** Returns how many bytes the block has. */
  endBlock(streamId: number, endStream: boolean): number {
    const { output, encoder } = this;
    const end = encoder.end();
    const bytes = end - encoder.start;
    const flags = endStream ? FLAG.endStream : FLAG.none;
    if (encoder.buffer === output.slab && bytes <= this.peer.maxFrameBytes) {
      const at = output.length;
      writeFrameHead(output.slab, at, bytes, FRAME.headers, flags | FLAG.endHeaders, streamId);
      output.length = end;
      if (!endStream) output.markLast(at, streamId);
    } else {
      // Frames are written where the block may still be.
      const isHere = encoder.buffer === output.slab;
      const block = isHere ? Buffer.from(output.slab.subarray(encoder.start, end)) : encoder.buffer.subarray(encoder.start, end);
      this.#fragments(streamId, flags, block);
    }
    encoder.release();
    return bytes;
  }

  /**
   * Sends as much of `buffer[start, end)` as the windows allow, whether the socket has room or not: who sent it should stop then. Returns
   * the position behind that. Nothing while other streams wait, or it would overtake them.
   */
  data(stream: SendingStream, buffer: Buffer, start: number, end: number): number {
    if (this.#queue.length > 0) return start;
    const maxBytes = Math.min(this.peer.maxFrameBytes, MOST_FRAME_BYTES);
    while (start < end) {
      const bytes = Math.min(end - start, maxBytes, this.window, stream.sendWindow);
      if (bytes <= 0) return start;
      this.#data(stream, buffer, start, start + bytes);
      start += bytes;
    }
    return start;
  }

  /** The stream holds something, and is in line as long as its window lets it send; or it wants to hear when there is room. */
  wait(stream: SendingStream): void {
    if (stream.isQueued || (stream.held.length > 0 && stream.sendWindow <= 0)) return;
    stream.isQueued = true;
    if (stream.held.length > 0) this.#queue.push(stream);
    else this.#listening.push(stream);
  }

  /** The stream is over. */
  forget(stream: SendingStream): void {
    if (!stream.isQueued) return;
    stream.isQueued = false;
    const line = this.#queue.includes(stream) ? this.#queue : this.#listening;
    line.splice(line.indexOf(stream), 1);
  }

  /** Those who wait send a frame each, in turn, until there is no more room; then those who listen hear of it. */
  pump(): void {
    const maxBytes = Math.min(this.peer.maxFrameBytes, MOST_FRAME_BYTES);
    while (this.#queue.length > 0 && this.output.isFlowing) {
      const stream = this.#queue[0]!;
      const { held } = stream;
      const bytes = Math.min(held.length, maxBytes, this.window, stream.sendWindow);
      if (bytes <= 0 && stream.sendWindow > 0) break;
      this.#queue.shift();
      stream.isQueued = false;
      if (bytes <= 0) continue;
      this.#data(stream, held.buffer, held.start, held.start + bytes);
      held.drop(bytes);
      if (held.length > 0) this.wait(stream);
      stream.onProgress(bytes);
    }
    while (this.#listening.length > 0 && this.output.isFlowing) {
      const stream = this.#listening.shift()!;
      stream.isQueued = false;
      stream.onProgress(0);
    }
  }

  /** SETTINGS of the other end, of which `streams` are open. Throws `ConnectionError`. */
  onSettings(buffer: Buffer, start: number, end: number, streams: ReadonlyMap<number, SendingStream>): void {
    this.peer.read(buffer, start, end, {
      onHeaderTableSize: (bytes) => this.encoder.setTableLimit(bytes),
      onInitialWindow: (difference) => {
        for (const stream of streams.values()) {
          if (!this.#widen(stream, difference)) throw new ConnectionError(H2_ERROR.flowControlError, "the window of a stream is too large");
        }
      },
    });
    this.output.reserve(SMALL_FRAME_BYTES);
    this.output.length = writeSettingsAck(this.output.slab, this.output.length);
    this.pump();
  }

  /** WINDOW_UPDATE of the connection. Throws `ConnectionError`. */
  widen(increment: number): void {
    if (increment === 0) throw new ConnectionError(H2_ERROR.protocolError, "a window is widened by nothing");
    this.window += increment;
    if (this.window > HIGHEST_WINDOW) throw new ConnectionError(H2_ERROR.flowControlError, "the window of the connection is too large");
    this.pump();
  }

  /** WINDOW_UPDATE of a stream. False: its window is larger than one can be. */
  widenStream(stream: SendingStream, increment: number): boolean {
    const isPossible = this.#widen(stream, increment);
    if (isPossible) this.pump();
    return isPossible;
  }

  reset(streamId: number, code: number): void {
    this.output.reserve(SMALL_FRAME_BYTES);
    this.output.length = writeReset(this.output.slab, this.output.length, streamId, code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.output.reserve(SMALL_FRAME_BYTES);
    this.output.length = writeWindowUpdate(this.output.slab, this.output.length, streamId, increment);
  }

  ping(flags: number, data: Buffer, start: number): void {
    this.output.reserve(SMALL_FRAME_BYTES);
    this.output.length = writePing(this.output.slab, this.output.length, flags, data, start);
  }

  settings(settings: readonly (readonly [id: number, value: number])[]): void {
    this.output.reserve(FRAME_HEAD_BYTES + settings.length * 6);
    this.output.length = writeSettings(this.output.slab, this.output.length, settings);
  }

  goaway(lastStreamId: number, code: number): void {
    this.output.reserve(SMALL_FRAME_BYTES);
    this.output.length = writeGoaway(this.output.slab, this.output.length, lastStreamId, code);
  }

  #widen(stream: SendingStream, difference: number): boolean {
    stream.sendWindow += difference;
    if (stream.sendWindow > HIGHEST_WINDOW) return false;
    if (stream.held.length > 0) this.wait(stream);
    return true;
  }

  #data(stream: SendingStream, buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    this.window -= bytes;
    stream.sendWindow -= bytes;
    this.bodyBytes += bytes;
    this.output.data(stream.id, buffer, start, end, this.peer.maxFrameBytes);
  }

  /** A block that is too large for one frame, or for the room there was. */
  #fragments(streamId: number, flags: number, block: Buffer): void {
    const { output } = this;
    let start = 0;
    const maxBytes = Math.min(this.peer.maxFrameBytes, SLAB_BYTES - FRAME_HEAD_BYTES);
    let type: number = FRAME.headers;
    do {
      const bytes = Math.min(block.length - start, maxBytes);
      const isLast = start + bytes === block.length;
      output.reserve(FRAME_HEAD_BYTES + bytes);
      const position = writeFrameHead(output.slab, output.length, bytes, type, flags | (isLast ? FLAG.endHeaders : 0), streamId);
      output.length = position + block.copy(output.slab, position, start, start + bytes);
      start += bytes;
      type = FRAME.continuation;
      flags = FLAG.none;
    } while (start < block.length);
  }
}
