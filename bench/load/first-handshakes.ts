// A program: one TLS handshake with each of many names, in no order, a few at a time. What a client needs for itself is made before.

import { once } from "node:events";
import { connect, createSecureContext } from "node:tls";
import { percentiles } from "./result.ts";

export interface FirstHandshakesOptions {
  readonly port: number;
  /** Of the names: `app-0.example.com`, `app-1.example.com` and so on. */
  readonly count: number;
  readonly rootPem: string;
  /** Handshakes at a time. */
  readonly lanes: number;
}

const { port, count, rootPem, lanes } = JSON.parse(process.argv[2]!) as FirstHandshakesOptions;
const secureContext = createSecureContext({ ca: rootPem });
const left = Array.from({ length: count }, (_, index) => `app-${index}.example.com`)
  .toSorted(() => Math.random() - 0.5)
  .values();
const timesMs: number[] = [];

const startedMs = performance.now();
await Promise.all(Array.from({ length: lanes }, run));
const seconds = (performance.now() - startedMs) / 1000;
console.log(JSON.stringify({ count, seconds, ...percentiles(timesMs) }));

async function run(): Promise<void> {
  for (const servername of left) {
    const startMs = performance.now();
    const socket = connect({ port, host: "127.0.0.1", servername, secureContext });
    await once(socket, "secureConnect");
    timesMs.push(performance.now() - startMs);
    socket.destroy();
  }
}
