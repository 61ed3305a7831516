// The machine behind every proxy: answers as cheaply as Node can, so that the proxy is what is measured. Prints its port.
//
//     GET /          a small response
//     GET /1m        1 MiB
//     POST (length)  a small response, once the body is there
//     GET /echo      a WebSocket that sends every message back

import { createHash } from "node:crypto";
import { createServer, type AddressInfo, type Socket } from "node:net";

const END_OF_HEAD = Buffer.from("\r\n\r\n");
const SMALL = response("hello from the benchmark's backend\n");
const LARGE = response("x".repeat(1024 * 1024));
const NONE = Buffer.alloc(0);
/** RFC 6455, section 1.3. */
const WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const SLASH = 0x2f;
const SPACE = 0x20;
const LETTER_G = 0x47;
const OPCODE_CLOSE = 8;

/** One connection. Most chunks are whole heads of small requests, which cost no more than finding their ends. */
class Connection {
  readonly #socket: Socket;
  /** An incomplete head or frame. */
  #rest: Buffer = NONE;
  #bodyLeft = 0;
  #isWebSocket = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => this.#onChunk(this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])));
  }

  #onChunk(chunk: Buffer): void {
    this.#rest = NONE;
    let at = 0;
    while (at < chunk.length) {
      const next = this.#isWebSocket ? this.#echo(chunk, at) : this.#bodyLeft > 0 ? this.#readBody(chunk, at) : this.#answer(chunk, at);
      if (next === at) {
        this.#rest = chunk.subarray(at);
        return;
      }
      at = next;
    }
  }

  #answer(chunk: Buffer, start: number): number {
    const end = chunk.indexOf(END_OF_HEAD, start);
    if (end === -1) return start;
    const isSmall = chunk[start] === LETTER_G && chunk[start + 4] === SLASH && chunk[start + 5] === SPACE;
    if (isSmall) this.#socket.write(SMALL);
    else this.#answerOther(chunk.toString("latin1", start, end));
    return end + END_OF_HEAD.length;
  }

  #answerOther(head: string): void {
    const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1];
    if (key !== undefined) return this.#upgrade(key);
    if (!head.startsWith("POST ")) return void this.#socket.write(LARGE);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    this.#bodyLeft = Number(length ?? 0);
    if (length === undefined) this.#socket.end("HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    else if (this.#bodyLeft === 0) this.#socket.write(SMALL);
  }

  #readBody(chunk: Buffer, start: number): number {
    const taken = Math.min(this.#bodyLeft, chunk.length - start);
    this.#bodyLeft -= taken;
    if (this.#bodyLeft === 0) this.#socket.write(SMALL);
    return start + taken;
  }

  #upgrade(key: string): void {
    const accept = createHash("sha1").update(`${key}${WEBSOCKET_GUID}`).digest("base64");
    this.#isWebSocket = true;
    this.#socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    );
  }

  /** Sends a short masked frame back without the mask. Longer ones are not what is measured here. */
  #echo(chunk: Buffer, start: number): number {
    if (chunk.length - start < 6) return start;
    const length = chunk[start + 1]! & 0x7f;
    const end = start + 6 + length;
    if (length > 125) this.#socket.destroy();
    if (length > 125 || end > chunk.length) return start;
    const frame = Buffer.allocUnsafe(2 + length);
    frame[0] = chunk[start]!;
    frame[1] = length;
    for (let i = 0; i < length; i++) frame[2 + i] = chunk[start + 6 + i]! ^ chunk[start + 2 + (i & 3)]!;
    if ((chunk[start]! & 0xf) === OPCODE_CLOSE) this.#socket.end(frame);
    else this.#socket.write(frame);
    return end;
  }
}

const server = createServer({ noDelay: true }, (socket) => void new Connection(socket));
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(`ready ${(server.address() as AddressInfo).port}`));
process.on("SIGTERM", () => process.exit(0));

function response(body: string): Buffer {
  const head = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n`;
  return Buffer.from(head + body);
}
