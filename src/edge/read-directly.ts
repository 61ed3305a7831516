// Hot path. What a client's socket reads goes to whoever listens at once, past the queue that Node keeps for those that do not flow: that
// costs two turns of bookkeeping and a task a chunk. Nothing else about the socket changes.

import type { Socket } from "node:net";
import { Readable } from "node:stream";

type Push = Socket["push"];

export function readDirectly(socket: Socket): void {
  socket.push = push;
}

const queue: Push = Readable.prototype.push;

/** Node calls it with each chunk, and with null at the end. */
function push(this: Socket, chunk: unknown, encoding?: BufferEncoding): boolean {
  // What waits goes first, and the end last; one that is paused stays so.
  if (chunk === null || this.readableFlowing !== true || this.readableLength > 0) return queue.call(this, chunk, encoding);
  this.emit("data", chunk);
  return true;
}
