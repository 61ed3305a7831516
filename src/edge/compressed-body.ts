// Hot path. A response's body between the machine and its client, compressed on the way: what the exchange would do with it, a turn later.

import { EditedFields, type EditedHead } from "../http/edited-head.ts";
import type { Fields, RequestHead, ResponseHead } from "../http/message.ts";
import type { Carrier } from "../upstream/connection.ts";
import type { ClientChannel } from "./client-channel.ts";
import { negotiateCompression } from "./compression.ts";
import type { Compressor, Compressors, CompressorSink } from "./compressor.ts";

/** What it needs of the exchange. */
export interface Compressing {
  readonly channel: ClientChannel;
  readonly head: RequestHead;
  /** The machine's side; null when that has come to its end. */
  readonly upstream: Carrier | null;
  /** Everything but the end of the response is on its way; or, if it is not whole, nothing more will come. */
  onCompressed(isWhole: boolean): void;
}

/** Decides on the response whose head was `head` and is now `edited`; null: it leaves as it is. */
export function compressedBody(
  exchange: Compressing,
  compressors: Compressors,
  head: ResponseHead,
  edited: EditedHead,
): CompressedBody | null {
  const coding = negotiateCompression(exchange.head, edited, compressors.hasRoom);
  if (coding === null || head.body === "none") return null;
  const body = new CompressedBody(exchange);
  body.compressor = compressors.start(coding, head.body === "length" ? head.contentLength : null, body);
  return body;
}

export class CompressedBody implements CompressorSink {
  compressor!: Compressor;
  readonly #exchange: Compressing;
  /** Of the machine, while what goes in front of them is being compressed. */
  #trailers: Fields | null = null;

  constructor(exchange: Compressing) {
    this.#exchange = exchange;
  }

  setTrailers(fields: Fields): void {
    this.#trailers = EditedFields.copyOf(fields);
  }

  onCompressed(buffer: Buffer): boolean {
    return this.#exchange.channel.sendData(buffer, 0, buffer.length);
  }

  flush(): void {
    this.#exchange.channel.flush();
  }

  onCompressorDrain(): void {
    this.#exchange.upstream?.resume();
  }

  onCompressedEnd(): void {
    const { channel } = this.#exchange;
    this.#exchange.onCompressed(true);
    if (this.#trailers !== null) channel.sendTrailers(this.#trailers);
    channel.sendEnd();
    channel.flush();
  }

  onCompressorFailed(): void {
    const { channel } = this.#exchange;
    this.#exchange.onCompressed(false);
    channel.abort();
    channel.flush();
  }
}
