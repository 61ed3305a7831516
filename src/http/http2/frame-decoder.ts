// Hot path. Bytes of an HTTP/2 connection in, frames out, a client's or a machine's; checked as far as a frame alone can be (RFC 9113 sections 4 and 6).
// Whatever is in the chunk as a whole is read in place. The payload of DATA passes on as it comes; only other frames that came in pieces
// and header blocks of several frames are copied. What a frame means for its stream is the sink's to know.

import { H2_ERROR, ConnectionError } from "./connection-error.ts";
import { HeaderBlock } from "./header-block.ts";
import { DEFAULT_FRAME_BYTES, FLAG, FRAME, FRAME_HEAD_BYTES, HIGHEST_STREAM, PREFACE } from "./frame.ts";

/** Hears every frame. Whatever it throws ends the connection; buffers are valid during the call only. */
export interface FrameSink {
  /** False: nothing more is wanted. Asked before each step, since a call may end in the connection being closed. */
  readonly isReading: boolean;
  /** A DATA frame begins; `length` with its padding, which counts for flow control. Then `onData`, then `onDataEnd`. */
  onDataStart(streamId: number, length: number): void;
  onData(buffer: Buffer, start: number, end: number): void;
  /** The frame is complete; `padding` bytes of it were none of the body. */
  onDataEnd(streamId: number, padding: number, endStream: boolean): void;
  /** A whole header block. */
  onHeaders(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean): void;
  onReset(streamId: number, code: number): void;
  /** `buffer[start, end)` are pairs for `PeerSettings`. */
  onSettings(buffer: Buffer, start: number, end: number): void;
  onSettingsAck(): void;
  /** Eight bytes of data. */
  onPing(buffer: Buffer, start: number): void;
  onPingAck(): void;
  onGoaway(lastStreamId: number): void;
  /** `increment` may be 0, which is an error of the stream or, on stream 0, of the connection. */
  onWindowUpdate(streamId: number, increment: number): void;
  /** A PRIORITY frame, or one of an unknown type: means nothing here. */
  onIgnored(): void;
}

export interface FrameLimits {
  /** A client begins with a preface, a server does not. */
  readonly sender: "client" | "server";
  /** Most bytes of a header block as it comes. */
  readonly blockBytes: number;
}

const IN_PREFACE = 0;
const IN_HEAD = 1;
/** In the payload of a frame that is needed whole. */
const IN_WHOLE = 2;
const IN_PAD_LENGTH = 3;
const IN_DATA = 4;
const IN_PADDING = 5;
/** In the payload of a frame that means nothing here. */
const IN_IGNORED = 6;

const EMPTY = Buffer.alloc(0);

export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #block: HeaderBlock;
  #state = IN_PREFACE;
  #hasSettings = false;
  /** Of the preface, the head or a whole payload: how much has come. */
  #held: Buffer = EMPTY;
  #heldBytes = 0;
  #payload: Buffer = EMPTY;
  #length = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Bytes left of DATA, of padding, or of an ignored frame. */
  #left = 0;
  #padding = 0;

  constructor(sink: FrameSink, limits: FrameLimits) {
    this.#sink = sink;
    this.#block = new HeaderBlock(limits.blockBytes);
    if (limits.sender === "server") this.#state = IN_HEAD;
  }

  /** Did the bytes so far end between two frames, and not within a header block? */
  get isBetweenFrames(): boolean {
    return this.#state === IN_HEAD && this.#heldBytes === 0 && this.#block.streamId === 0;
  }

  /** Decodes a chunk. Throws `ConnectionError`. */
  decode(chunk: Buffer): void {
    const sink = this.#sink;
    const end = chunk.length;
    let position = 0;
    while (sink.isReading) {
      switch (this.#state) {
        case IN_HEAD:
          if (position === end) return;
          position = this.#readHead(chunk, position, end);
          break;
        case IN_WHOLE:
          if (position === end && this.#length > 0) return;
          position = this.#readWhole(chunk, position, end);
          break;
        case IN_DATA:
          if (position === end && this.#left > 0) return;
          position = this.#readData(chunk, position, end);
          break;
        case IN_PREFACE:
          if (position === end) return;
          position = this.#readPreface(chunk, position, end);
          break;
        case IN_PAD_LENGTH:
          if (position === end) return;
          this.#readPadLength(chunk[position++]!);
          break;
        default:
          if (position === end && this.#left > 0) return;
          position = this.#skip(position, end);
      }
    }
  }

  #readPreface(chunk: Buffer, position: number, end: number): number {
    const taken = Math.min(PREFACE.length - this.#heldBytes, end - position);
    if (PREFACE.compare(chunk, position, position + taken, this.#heldBytes, this.#heldBytes + taken) !== 0) {
      throw new ConnectionError(H2_ERROR.protocolError, "the connection does not begin with the preface of HTTP/2");
    }
    this.#heldBytes += taken;
    if (this.#heldBytes === PREFACE.length) {
      this.#heldBytes = 0;
      this.#state = IN_HEAD;
    }
    return position + taken;
  }

  #readHead(chunk: Buffer, position: number, end: number): number {
    if (this.#heldBytes === 0 && end - position >= FRAME_HEAD_BYTES) {
      this.#beginFrame(chunk, position);
      return position + FRAME_HEAD_BYTES;
    }
    const taken = Math.min(FRAME_HEAD_BYTES - this.#heldBytes, end - position);
    if (this.#heldBytes === 0) this.#held = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
    chunk.copy(this.#held, this.#heldBytes, position, position + taken);
    this.#heldBytes += taken;
    if (this.#heldBytes === FRAME_HEAD_BYTES) {
      this.#heldBytes = 0;
      this.#beginFrame(this.#held, 0);
    }
    return position + taken;
  }

  #beginFrame(bytes: Buffer, at: number): void {
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    const streamId = ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
    this.#length = length;
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    if (length > DEFAULT_FRAME_BYTES) throw new ConnectionError(H2_ERROR.frameSizeError, "a frame is longer than announced");
    if (!this.#hasSettings) this.#expectSettings();
    if (this.#block.streamId !== 0 && (type !== FRAME.continuation || streamId !== this.#block.streamId)) {
      throw new ConnectionError(H2_ERROR.protocolError, "a header block is interrupted");
    }
    switch (type) {
      case FRAME.data:
        this.#needStream();
        this.#beginData();
        return;
      case FRAME.headers:
        this.#needStream();
        break;
      case FRAME.priority:
        this.#needStream();
        this.#needLength(5);
        this.#ignore();
        return;
      case FRAME.rstStream:
        this.#needStream();
        this.#needLength(4);
        break;
      case FRAME.settings:
        this.#needConnection();
        if ((flags & FLAG.ack) !== 0) this.#needLength(0);
        else if (length % 6 !== 0) throw new ConnectionError(H2_ERROR.frameSizeError, "a SETTINGS frame is cut off");
        break;
      case FRAME.ping:
        this.#needConnection();
        this.#needLength(8);
        break;
      case FRAME.goaway:
        this.#needConnection();
        if (length < 8) throw new ConnectionError(H2_ERROR.frameSizeError, "a GOAWAY frame is too short");
        break;
      case FRAME.windowUpdate:
        this.#needLength(4);
        break;
      case FRAME.continuation:
        if (this.#block.streamId === 0) throw new ConnectionError(H2_ERROR.protocolError, "a CONTINUATION frame without a header block");
        break;
      case FRAME.pushPromise:
        throw new ConnectionError(H2_ERROR.protocolError, "nobody may push here");
      default:
        this.#ignore();
        return;
    }
    this.#state = IN_WHOLE;
  }

  #expectSettings(): void {
    if (this.#type !== FRAME.settings || (this.#flags & FLAG.ack) !== 0) {
      throw new ConnectionError(H2_ERROR.protocolError, "the first frame is not SETTINGS");
    }
    this.#hasSettings = true;
  }

  #needStream(): void {
    if (this.#streamId === 0) throw new ConnectionError(H2_ERROR.protocolError, "a frame of a stream on stream 0");
  }

  #needConnection(): void {
    if (this.#streamId !== 0) throw new ConnectionError(H2_ERROR.protocolError, "a frame of the connection on a stream");
  }

  #needLength(length: number): void {
    if (this.#length !== length) throw new ConnectionError(H2_ERROR.frameSizeError, "a frame of a fixed length has another one");
  }

  #ignore(): void {
    this.#left = this.#length;
    this.#state = IN_IGNORED;
  }

  #beginData(): void {
    const isPadded = (this.#flags & FLAG.padded) !== 0;
    if (isPadded && this.#length === 0) throw new ConnectionError(H2_ERROR.frameSizeError, "a padded frame has no room for its padding");
    this.#padding = 0;
    this.#left = this.#length;
    this.#state = isPadded ? IN_PAD_LENGTH : IN_DATA;
    this.#sink.onDataStart(this.#streamId, this.#length);
  }

  #readPadLength(padding: number): void {
    if (padding >= this.#length) throw new ConnectionError(H2_ERROR.protocolError, "a frame has more padding than bytes");
    this.#padding = padding;
    this.#left = this.#length - 1 - padding;
    this.#state = IN_DATA;
  }

  #readData(chunk: Buffer, position: number, end: number): number {
    const taken = Math.min(this.#left, end - position);
    this.#left -= taken;
    // The state first: the call may end in this connection being closed.
    if (this.#left === 0) {
      this.#left = this.#padding;
      this.#state = IN_PADDING;
    }
    if (taken > 0) this.#sink.onData(chunk, position, position + taken);
    return position + taken;
  }

  #skip(position: number, end: number): number {
    const taken = Math.min(this.#left, end - position);
    this.#left -= taken;
    if (this.#left > 0) return position + taken;
    const wasIgnored = this.#state === IN_IGNORED;
    this.#state = IN_HEAD;
    if (wasIgnored) this.#sink.onIgnored();
    else {
      const padding = (this.#flags & FLAG.padded) !== 0 ? this.#padding + 1 : 0;
      this.#sink.onDataEnd(this.#streamId, padding, (this.#flags & FLAG.endStream) !== 0);
    }
    return position + taken;
  }

  #readWhole(chunk: Buffer, position: number, end: number): number {
    if (this.#heldBytes === 0 && end - position >= this.#length) {
      this.#state = IN_HEAD;
      this.#endWhole(chunk, position, position + this.#length);
      return position + this.#length;
    }
    if (this.#heldBytes === 0) this.#payload = Buffer.allocUnsafe(this.#length);
    const taken = Math.min(this.#length - this.#heldBytes, end - position);
    chunk.copy(this.#payload, this.#heldBytes, position, position + taken);
    this.#heldBytes += taken;
    if (this.#heldBytes === this.#length) {
      const payload = this.#payload;
      this.#payload = EMPTY;
      this.#heldBytes = 0;
      this.#state = IN_HEAD;
      this.#endWhole(payload, 0, payload.length);
    }
    return position + taken;
  }

  #endWhole(buffer: Buffer, start: number, end: number): void {
    const sink = this.#sink;
    switch (this.#type) {
      case FRAME.headers:
        this.#endHeaders(buffer, start, end);
        return;
      case FRAME.continuation:
        this.#endContinuation(buffer, start, end);
        return;
      case FRAME.windowUpdate:
        sink.onWindowUpdate(this.#streamId, buffer.readUInt32BE(start) & HIGHEST_STREAM);
        return;
      case FRAME.rstStream:
        sink.onReset(this.#streamId, buffer.readUInt32BE(start));
        return;
      case FRAME.ping:
        if ((this.#flags & FLAG.ack) !== 0) sink.onPingAck();
        else sink.onPing(buffer, start);
        return;
      case FRAME.settings:
        if ((this.#flags & FLAG.ack) !== 0) sink.onSettingsAck();
        else sink.onSettings(buffer, start, end);
        return;
      default:
        sink.onGoaway(buffer.readUInt32BE(start) & HIGHEST_STREAM);
    }
  }

  #endHeaders(buffer: Buffer, start: number, end: number): void {
    const flags = this.#flags;
    let padding = 0;
    if ((flags & FLAG.padded) !== 0) {
      if (start === end) throw new ConnectionError(H2_ERROR.frameSizeError, "a padded frame has no room for its padding");
      padding = buffer[start++]!;
    }
    // The priority in front means nothing any more (RFC 9113 section 5.3.2), but it has to be there.
    if ((flags & FLAG.priority) !== 0) start += 5;
    if (start > end) throw new ConnectionError(H2_ERROR.frameSizeError, "a HEADERS frame has no room for its priority");
    end -= padding;
    if (start > end) throw new ConnectionError(H2_ERROR.protocolError, "a frame has more padding than bytes");
    const endStream = (flags & FLAG.endStream) !== 0;
    if ((flags & FLAG.endHeaders) !== 0) {
      this.#sink.onHeaders(this.#streamId, buffer, start, end, endStream);
      return;
    }
    this.#block.begin(this.#streamId, endStream, buffer, start, end);
  }

  #endContinuation(buffer: Buffer, start: number, end: number): void {
    const block = this.#block;
    block.continue(buffer, start, end);
    if ((this.#flags & FLAG.endHeaders) !== 0) this.#sink.onHeaders(this.#streamId, block.take(), 0, block.length, block.endStream);
  }
}
