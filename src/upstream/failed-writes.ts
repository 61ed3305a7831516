// A machine may answer and close while its request is still being written. The write fails then, and Node would destroy the socket with
// the response in it, unread. Here a failed write is only the end of writing: what was sent before the close is read, and the read that
// finds nothing more reports it.

import type { Socket } from "node:net";

type Done = (error?: Error | null) => void;

/** Keeps the socket open for reading when a write fails. Nothing is written any more then, as if the machine took nothing more. */
export function outliveFailedWrites(socket: Socket, onFailed: () => void): void {
  // Both are called with the same callback every time, so that one closure serves all writes of a connection.
  let done: Done | null = null;
  const guarded: Done = (error) => {
    if (error === undefined || error === null) done!();
    else onFailed();
  };
  const { _write: write, _writev: writev } = socket;
  socket._write = (chunk, encoding, callback) => {
    done = callback;
    write.call(socket, chunk, encoding, guarded);
  };
  socket._writev = (chunks, callback) => {
    done = callback;
    writev!.call(socket, chunks, guarded);
  };
}
