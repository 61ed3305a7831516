// Hot path. Takes the body out of its HTTP/1.1 framing: a length, chunks, or everything until the connection ends.
// RFC 9112 sections 6 and 7; whatever could be read in two ways is refused with the code given at construction.

import { CHARACTERS, HEX, TOKEN, VALUE } from "../characters.ts";
import type { BodyKind, MessageSink, Underscores } from "../message.ts";
import { ProxyError, type ErrorCode } from "../../core/errors.ts";
import { TrailerSection } from "./trailer-section.ts";

/** What a chunked body may have besides its data. */
export interface BodyLimits {
  /** All trailer lines of one body together. */
  readonly trailerBytes: number;
  readonly trailers: number;
  /** Bytes of chunk extensions in one body. They mean nothing to anyone, so a stream of them is an attack. */
  readonly chunkExtensionBytes: number;
}

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;
const COLON = 0x3a;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** More digits than any real chunk has; refusing them also refuses padding with zeros. */
const MAX_SIZE_DIGITS = 12;

const DATA = 0;
const UNTIL_CLOSE = 1;
const SIZE = 2;
const SIZE_LF = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const EXTENSION_START = 6;
const EXTENSION_NAME = 7;
const EXTENSION_VALUE_START = 8;
const EXTENSION_VALUE = 9;
const EXTENSION_QUOTED = 10;
const EXTENSION_ESCAPE = 11;
const EXTENSION_QUOTED_END = 12;
const TRAILER_START = 13;
const TRAILER_NAME = 14;
const TRAILER_VALUE = 15;
const TRAILER_LF = 16;
const END_LF = 17;
const DONE = 18;

export class BodyDecoder {
  readonly #limits: BodyLimits;
  readonly #code: ErrorCode;
  /** For more trailers than allowed. */
  readonly #tooLargeCode: ErrorCode;
  readonly #underscores: Underscores;
  #state = DONE;
  /** Bytes left of the body or of the current chunk. */
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #chunked = false;
  #trailers: TrailerSection | null = null;
  #hasTrailers = false;
  #connectionNames: readonly string[] | null = null;

  constructor(limits: BodyLimits, code: ErrorCode, tooLargeCode: ErrorCode, underscores: Underscores) {
    this.#limits = limits;
    this.#code = code;
    this.#tooLargeCode = tooLargeCode;
    this.#underscores = underscores;
  }

  get isDone(): boolean {
    return this.#state === DONE;
  }

  /** May the connection end here without cutting the body short? */
  get mayEnd(): boolean {
    return this.#state === DONE || this.#state === UNTIL_CLOSE;
  }

  /** @param connectionNames in lower case: fields that are not passed on, as trailers neither */
  begin(kind: BodyKind, contentLength: number, connectionNames: readonly string[] | null): void {
    this.#chunked = kind === "chunked";
    this.#left = contentLength;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#connectionNames = connectionNames;
    if (this.#hasTrailers) {
      this.#trailers!.clear();
      this.#hasTrailers = false;
    }
    if (kind === "chunked") {
      this.#left = 0;
      this.#state = SIZE;
    } else if (kind === "until_close") this.#state = UNTIL_CLOSE;
    else this.#state = kind === "length" && contentLength > 0 ? DATA : DONE;
  }

  /** Nothing more of this body is wanted, as when the connection ended a body that runs until then. */
  finish(): void {
    this.#state = DONE;
  }

  /**
   * Decodes `buffer[position, end)` up to the end of the body or of one call of `onData`, after which the caller may want to stop, and
   * returns the position behind what it took. Trailers follow the last data; `onEnd` is left to the caller.
   */
  decode(buffer: Buffer, position: number, end: number, sink: Pick<MessageSink<never>, "onData" | "onTrailers">): number {
    while (position < end && this.#state !== DONE) {
      if (this.#state === DATA) {
        const taken = Math.min(this.#left, end - position);
        this.#left -= taken;
        if (this.#left === 0) this.#state = this.#chunked ? DATA_CR : DONE;
        sink.onData(buffer, position, position + taken);
        return position + taken;
      }
      if (this.#state === UNTIL_CLOSE) {
        sink.onData(buffer, position, end);
        return end;
      }
      this.#framing(buffer[position]!);
      position++;
    }
    if (this.#hasTrailers && this.#state === DONE) this.#deliverTrailers(sink);
    return position;
  }

  /** One byte of chunk framing or trailers. */
  #framing(byte: number): void {
    switch (this.#state) {
      case SIZE:
        if ((CHARACTERS[byte]! & HEX) !== 0) {
          this.#left = this.#left * 16 + hexValue(byte);
          if (++this.#digits > MAX_SIZE_DIGITS) throw this.#error("a chunk size is too long");
          return;
        }
        if (this.#digits === 0) throw this.#error("a chunk has no size");
        if (byte === CR) this.#state = SIZE_LF;
        else if (byte === SEMICOLON) this.#state = EXTENSION_START;
        else throw this.#error("a chunk size is not a number");
        return;
      case SIZE_LF:
        this.#expect(byte, LF);
        this.#digits = 0;
        this.#state = this.#left === 0 ? TRAILER_START : DATA;
        return;
      case DATA_CR:
        this.#expect(byte, CR);
        this.#state = DATA_LF;
        return;
      case DATA_LF:
        this.#expect(byte, LF);
        this.#state = SIZE;
        return;
      default:
        if (this.#state < TRAILER_START) this.#extension(byte);
        else this.#trailer(byte);
    }
  }

  /** Chunk extensions are checked and dropped (RFC 9112 section 7.1.1); "bad" white space in them is refused. */
  #extension(byte: number): void {
    if (byte !== CR && ++this.#extensionBytes > this.#limits.chunkExtensionBytes) throw this.#error("chunk extensions are too long");
    const isToken = (CHARACTERS[byte]! & TOKEN) !== 0;
    switch (this.#state) {
      case EXTENSION_START:
        if (!isToken) throw this.#error("a chunk extension is malformed");
        this.#state = EXTENSION_NAME;
        return;
      case EXTENSION_NAME:
        if (isToken) return;
        if (byte === EQUALS) this.#state = EXTENSION_VALUE_START;
        else this.#endExtension(byte);
        return;
      case EXTENSION_VALUE_START:
        if (!isToken && byte !== QUOTE) throw this.#error("a chunk extension is malformed");
        this.#state = isToken ? EXTENSION_VALUE : EXTENSION_QUOTED;
        return;
      case EXTENSION_VALUE:
        if (!isToken) this.#endExtension(byte);
        return;
      case EXTENSION_QUOTED:
        if (byte === QUOTE) this.#state = EXTENSION_QUOTED_END;
        else if (byte === BACKSLASH) this.#state = EXTENSION_ESCAPE;
        else if ((CHARACTERS[byte]! & VALUE) === 0) throw this.#error("a chunk extension is malformed");
        return;
      case EXTENSION_ESCAPE:
        if ((CHARACTERS[byte]! & VALUE) === 0) throw this.#error("a chunk extension is malformed");
        this.#state = EXTENSION_QUOTED;
        return;
      default:
        this.#endExtension(byte);
    }
  }

  #endExtension(byte: number): void {
    if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON) this.#state = EXTENSION_START;
    else throw this.#error("a chunk extension is malformed");
  }

  /** Every byte is checked as it comes, so that what is malformed does not wait for its end. */
  #trailer(byte: number): void {
    if (this.#state === END_LF) {
      this.#expect(byte, LF);
      this.#state = DONE;
      return;
    }
    if (this.#state === TRAILER_START && byte === CR) {
      this.#state = END_LF;
      return;
    }
    this.#trailers ??= new TrailerSection(this.#limits.trailerBytes, this.#limits.trailers, this.#underscores);
    this.#hasTrailers = true;
    if (!this.#trailers.add(byte)) throw new ProxyError(this.#tooLargeCode, "the trailers are too large");
    switch (this.#state) {
      case TRAILER_START:
        if ((CHARACTERS[byte]! & TOKEN) === 0) throw this.#error("a trailer is malformed");
        this.#state = TRAILER_NAME;
        return;
      case TRAILER_NAME:
        if (byte === COLON) this.#state = TRAILER_VALUE;
        else if ((CHARACTERS[byte]! & TOKEN) === 0) throw this.#error("a trailer is malformed");
        return;
      case TRAILER_VALUE:
        if (byte === CR) this.#state = TRAILER_LF;
        else if ((CHARACTERS[byte]! & VALUE) === 0) throw this.#error("a trailer is malformed");
        return;
      default:
        this.#expect(byte, LF);
        this.#state = TRAILER_START;
    }
  }

  #deliverTrailers(sink: Pick<MessageSink<never>, "onTrailers">): void {
    this.#hasTrailers = false;
    const trailers = this.#trailers!;
    if (trailers.read(this.#connectionNames, this.#tooLargeCode) > 0) sink.onTrailers(trailers);
  }

  #expect(byte: number, wanted: number): void {
    if (byte !== wanted) throw this.#error("a chunk does not end where its size says");
  }

  #error(message: string): ProxyError {
    return new ProxyError(this.#code, message);
  }
}

function hexValue(byte: number): number {
  return byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57;
}
