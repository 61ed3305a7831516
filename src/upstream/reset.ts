// Ends a connection so that the other side cannot take it for the end of what was sent.

import type { Socket } from "node:net";

/**
 * Drops what has not left yet and sends a reset. While the end of what was sent is itself on its way, which takes one turn of the event
 * loop, the connection is only closed: everything has left by then, so nothing is cut short. Node cannot reset in that moment (libuv
 * refuses with EINVAL), and would keep the socket for ever: no event, no end of the thread that has it.
 */
export function reset(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isEnding) socket.destroy();
  else socket.resetAndDestroy();
}
