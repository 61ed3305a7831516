// A program: WebSockets over plain HTTP/1.1, each with one message on its way at a time, which the backend sends back.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { percentiles } from "./result.ts";

export interface WebSocketEchoOptions {
  readonly port: number;
  readonly host: string;
  readonly connections: number;
  readonly seconds: number;
}

const { port, host, connections, seconds } = JSON.parse(process.argv[2]!) as WebSocketEchoOptions;
const PAYLOAD = Buffer.alloc(64, "m");
const MASK = randomBytes(4);
const MESSAGE = Buffer.concat([Buffer.from([0x81, 0x80 | PAYLOAD.length]), MASK, PAYLOAD.map((byte, i) => byte ^ MASK[i & 3]!)]);
const ECHO_BYTES = 2 + PAYLOAD.length;

const sockets = await Promise.all(Array.from({ length: connections }, open));
const timesMs: number[] = [];
const startedMs = performance.now();
const endMs = startedMs + seconds * 1000;
await Promise.all(sockets.map(exchange));
const tookSeconds = (performance.now() - startedMs) / 1000;
console.log(JSON.stringify({ count: timesMs.length, seconds: tookSeconds, ...percentiles(timesMs) }));
process.exit(0);

async function open(): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const key = randomBytes(16).toString("base64");
  const lines = ["connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13", `sec-websocket-key: ${key}`];
  socket.write(["GET /echo HTTP/1.1", `host: ${host}`, ...lines, "", ""].join("\r\n"));
  let head = "";
  while (!head.includes("\r\n\r\n")) head += ((await once(socket, "data")) as [Buffer])[0].toString("latin1");
  if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`expected 101, got ${head.slice(0, 40)}`);
  return socket;
}

/** Message after message; resolves when the time is over. */
function exchange(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentMs = performance.now();
    let received = 0;
    socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
      if (received < ECHO_BYTES) return;
      received -= ECHO_BYTES;
      const nowMs = performance.now();
      timesMs.push(nowMs - sentMs);
      sentMs = nowMs;
      if (nowMs >= endMs) resolve();
      else socket.write(MESSAGE);
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("a WebSocket was closed")));
    socket.write(MESSAGE);
  });
}
