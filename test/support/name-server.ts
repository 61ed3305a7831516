// A DNS server for tests of certificates: every name is 127.0.0.1, and has the TXT records that the test says. UDP alone, which is what
// Pebble asks by.

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

const TYPE = { a: 1, txt: 16 };
const HEADER_BYTES = 12;

export class NameServer implements AsyncDisposable {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async start(texts: (name: string) => readonly string[]): Promise<NameServer> {
    const socket = createSocket("udp4");
    socket.on("message", (query, { port, address }) => socket.send(answer(query, texts), port, address));
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new NameServer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }
}

function answer(query: Buffer, texts: (name: string) => readonly string[]): Buffer {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(HEADER_BYTES, at + 5);
  const values =
    type === TYPE.a
      ? [Buffer.from([127, 0, 0, 1])]
      : type === TYPE.txt
        ? texts(labels.join(".")).map((text) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]))
        : [];
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8580, 2); // an answer, authoritative, recursion wanted and to be had
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(values.length, 6);
  return Buffer.concat([header, question, ...values.map((value) => record(type, value))]);
}

/** For the name of the question, to be remembered by nobody. */
function record(type: number, value: Buffer): Buffer {
  const fields = Buffer.alloc(12);
  fields.writeUInt16BE(0xc000 + HEADER_BYTES, 0);
  fields.writeUInt16BE(type, 2);
  fields.writeUInt16BE(1, 4);
  fields.writeUInt16BE(value.length, 10);
  return Buffer.concat([fields, value]);
}
