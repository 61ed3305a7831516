// A program: opens many TLS connections, has one request answered on each, and holds them open without a word. Prints a line when all rest;
// ends, and they with it, on SIGTERM.

import { connect, type TLSSocket } from "node:tls";

export interface IdleConnectionsOptions {
  readonly port: number;
  readonly host: string;
  readonly connections: number;
  /** Handshakes at a time. */
  readonly lanes: number;
}

const { port, host, connections, lanes } = JSON.parse(process.argv[2]!) as IdleConnectionsOptions;
const REQUEST = `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
const open: TLSSocket[] = [];

process.on("SIGTERM", () => process.exit(0));
await Promise.all(Array.from({ length: lanes }, run));
console.log(`ready ${open.length}`);

async function run(): Promise<void> {
  while (open.length < connections) {
    const socket = connect({ port, host: "127.0.0.1", servername: host, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false });
    open.push(socket);
    await firstResponse(socket);
  }
}

function firstResponse(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on("secureConnect", () => socket.write(REQUEST));
    socket.on("data", (chunk: Buffer) => {
      if (chunk.toString("latin1", 0, 12) === "HTTP/1.1 200") resolve();
      else reject(new Error(`expected 200, got ${chunk.toString("latin1", 0, 40)}`));
    });
    socket.on("error", reject);
    socket.on("close", () => fail(new Error("an idle connection was closed")));
  });
}

function fail(error: Error): void {
  console.error(error.message);
  process.exit(1);
}
