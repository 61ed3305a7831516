// Asks a DNS server from a test, by UDP or TCP, with any bytes.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { decode, encode, type Answer, type DecodedPacket, type RecordType } from "dns-packet";
import type { Address } from "../../src/core/app.ts";

export type Reply = DecodedPacket & { readonly rcode: string; readonly bytes: Buffer };

export interface Asking {
  readonly type?: RecordType;
  /** Size to announce by EDNS; none without. */
  readonly edns?: number;
  readonly id?: number;
}

export function queryOf(name: string, { type = "TXT", edns, id = 4711 }: Asking = {}): Buffer {
  const additionals: Answer[] =
    edns === undefined
      ? []
      : [{ type: "OPT", name: ".", udpPayloadSize: edns, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }];
  return encode({ type: "query", id, flags: 0x0100, questions: [{ type, name }], additionals });
}

/** One datagram there and one back. */
export async function askUdp({ host, port }: Address, message: Buffer): Promise<Reply> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  try {
    socket.send(message, port, host);
    const [answer] = (await once(socket, "message", { signal: AbortSignal.timeout(5000) })) as [Buffer];
    return replyOf(answer);
  } finally {
    socket.close();
  }
}

/** A TCP connection, for as many messages as it takes. */
export class TcpClient implements Disposable {
  readonly socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  static async open({ host, port }: Address): Promise<TcpClient> {
    const socket = connect({ host, port, allowHalfOpen: true });
    await once(socket, "connect");
    return new TcpClient(socket);
  }

  send(...messages: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(messages.map(framed)));
  }

  /** null: the server ended the connection. */
  async reply(): Promise<Reply | null> {
    for (;;) {
      const end = this.#held.length < 2 ? Infinity : 2 + this.#held.readUInt16BE(0);
      if (this.#held.length >= end) {
        const answer = this.#held.subarray(2, end);
        this.#held = this.#held.subarray(end);
        return replyOf(answer);
      }
      const next = await this.#chunks.next().catch(() => ({ done: true as const, value: undefined }));
      if (next.done === true) return null;
      this.#held = Buffer.concat([this.#held, next.value]);
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

export function replyOf(bytes: Buffer): Reply {
  return { ...(decode(bytes) as DecodedPacket & { rcode: string }), bytes };
}

/** The values of the TXT records of an answer. */
export function textsOf({ answers = [] }: Reply): string[] {
  return answers.flatMap((record) =>
    record.type === "TXT" ? [Array.isArray(record.data) ? record.data.map(String).join("") : String(record.data)] : [],
  );
}
