// A program: one TLS 1.3 connection after the other in each of several lanes, each with one request, closed by the client as soon as the response
// is there. Every handshake is a full one, or every one resumes an earlier session of its lane; another kind is an error.

import { connect } from "node:tls";
import { percentiles } from "./result.ts";

export interface TlsConnectionsOptions {
  readonly port: number;
  readonly host: string;
  readonly lanes: number;
  readonly seconds: number;
  readonly resumes: boolean;
}

const { port, host, lanes, seconds, resumes } = JSON.parse(process.argv[2]!) as TlsConnectionsOptions;
const REQUEST = `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
const timesMs: number[] = [];
const startedMs = performance.now();
const endMs = startedMs + seconds * 1000;

await Promise.all(Array.from({ length: lanes }, run));
const tookSeconds = (performance.now() - startedMs) / 1000;
console.log(JSON.stringify({ count: timesMs.length, seconds: tookSeconds, ...percentiles(timesMs) }));

async function run(): Promise<void> {
  // The first one of a lane has nothing to resume, and is not counted.
  let session = resumes ? await connectOnce(undefined) : undefined;
  while (performance.now() < endMs) {
    const begunMs = performance.now();
    const next = await connectOnce(session);
    timesMs.push(performance.now() - begunMs);
    if (resumes) session = next;
  }
}

/** Resolves to the last session that the server gave; some give none anew to who resumes one. */
function connectOnce(session: Buffer | undefined): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      servername: host,
      minVersion: "TLSv1.3",
      // What all contestants know. Some would exchange keys by X25519MLKEM768 otherwise, which costs more.
      ecdhCurve: "X25519",
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    });
    let ticket = session;
    socket.on("session", (given: Buffer) => (ticket = given));
    socket.on("secureConnect", () => {
      if (socket.isSessionReused() === (session !== undefined)) socket.write(REQUEST);
      else socket.destroy(new Error(session === undefined ? "resumed without being asked" : "not resumed"));
    });
    socket.on("data", (chunk: Buffer) => {
      const start = chunk.toString("latin1", 0, 12);
      if (start !== "HTTP/1.1 200") socket.destroy(new Error(`expected 200, got ${start}`));
      else if (resumes && ticket === undefined) socket.destroy(new Error("there was no ticket"));
      else {
        socket.end();
        resolve(ticket);
      }
    });
    socket.on("error", reject);
  });
}
