// A program: requests at a fixed rate over plain HTTP/1.1 keep-alive or TLS, whether or not earlier ones were answered (an open loop). Each millisecond
// releases what is due; its time runs from there, also while it waits for a connection, so a stall of the proxy falls on all
// requests that were due in it and not on one (no coordinated omission).

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { percentiles } from "./result.ts";

export interface OpenLoopOptions {
  readonly scheme: "http" | "https";
  readonly port: number;
  readonly host: string;
  readonly connections: number;
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
}

const { scheme, port, host, connections, rate, seconds } = JSON.parse(process.argv[2]!) as OpenLoopOptions;
const REQUEST = Buffer.from(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
/** How the backend's small response ends: heads have no fixed length, but bodies all end in the same way. */
const BODY_END = "backend\n";
/** So late that nobody waits any longer. */
const GIVE_UP_MS = 10_000;

const free: Lane[] = [];
/** When each request was released that has no connection yet. */
const waiting: number[] = [];
const timesMs: number[] = [];

class Lane {
  readonly #socket: Socket;
  #releasedMs = 0;
  /** The end of what was received, so that a response may come in pieces. */
  #end = "";

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("a connection was closed")));
    free.push(this);
  }

  send(releasedMs: number): void {
    this.#releasedMs = releasedMs;
    this.#socket.write(REQUEST);
  }

  #onChunk(chunk: Buffer): void {
    this.#end = (this.#end + chunk.toString("latin1", Math.max(0, chunk.length - BODY_END.length))).slice(-BODY_END.length);
    if (this.#end !== BODY_END) return;
    this.#end = "";
    timesMs.push(performance.now() - this.#releasedMs);
    const next = waiting.shift();
    if (next === undefined) free.push(this);
    else this.send(next);
  }
}

for (let i = 0; i < connections; i++) new Lane(await open());
const startedMs = performance.now();
let released = 0;
const timer = setInterval(() => {
  const nowMs = performance.now();
  const due = Math.floor((Math.min(nowMs - startedMs, seconds * 1000) / 1000) * rate);
  for (; released < due; released++) {
    const lane = free.shift();
    if (lane === undefined) waiting.push(nowMs);
    else lane.send(nowMs);
  }
  if (nowMs - startedMs < seconds * 1000) return;
  if (timesMs.length === released) report();
  else if (nowMs - startedMs > seconds * 1000 + GIVE_UP_MS) fail(new Error(`${released - timesMs.length} requests were not answered`));
}, 1);

function report(): void {
  clearInterval(timer);
  console.log(JSON.stringify({ count: timesMs.length, seconds, ...percentiles(timesMs) }));
  process.exit(0);
}

async function open(): Promise<Socket> {
  const address = { port, host: "127.0.0.1", noDelay: true } as const;
  if (scheme === "http") {
    const socket = connect(address);
    await once(socket, "connect");
    return socket;
  }
  const socket = connectTls({ ...address, servername: host, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false });
  await once(socket, "secureConnect");
  return socket;
}

function fail(error: Error): void {
  console.error(error.message);
  process.exit(1);
}
