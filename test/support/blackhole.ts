// A port on which connecting never succeeds and never fails: a listener that accepts nothing, with its backlog full.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";

export interface Blackhole extends AsyncDisposable {
  readonly port: number;
}

/** Listens, and never looks again: what is sent to its port stays with the kernel. */
const LISTENER = `
const { createServer } = require("node:net");
const { parentPort } = require("node:worker_threads");
const server = createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
});
`;
/** A connection on loopback that has not come about by then will not. */
const HANGING_MS = 150;

export async function openBlackhole(): Promise<Blackhole> {
  const worker = new Worker(LISTENER, { eval: true });
  const [port] = (await once(worker, "message")) as [number];
  const fillers: Socket[] = [];
  for (;;) {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => {});
    fillers.push(socket);
    const isConnected = await Promise.race([once(socket, "connect").then(() => true), delay(HANGING_MS, false)]);
    if (!isConnected) break;
  }
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of fillers) socket.destroy();
      await worker.terminate();
    },
  };
}
