// One client's TCP connection (RFC 7766): messages with two bytes of length in front, answered in turn. It ends when nothing whole has come
// within the time for that, whether the client is silent, sends byte by byte, or does not read its answers.

import type { Socket } from "node:net";

export interface TcpConnectionOptions {
  /** null: the client is not answered, and its connection ends. */
  respond(message: Buffer): Promise<Buffer | null>;
  /** From one message to the next, and to the end of its answer, in milliseconds. */
  readonly idleMs: number;
}

const LENGTH_BYTES = 2;
/** A question with EDNS is far below; who announces more is no resolver. */
const MOST_MESSAGE_BYTES = 4096;

/**
 * Resolves when no more is read, however that came about; what was answered is then sent if the client takes it in time.
 *
 * @param socket must allow half-open connections: who has asked may be done with sending
 */
export async function serveConnection(socket: Socket, options: TcpConnectionOptions): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), options.idleMs);
  socket.once("close", () => clearTimeout(timer));
  try {
    await answerEach(socket, options, timer);
  } catch {
    // The client broke off; nobody is left to tell.
  } finally {
    socket.destroySoon();
  }
}

async function answerEach(socket: Socket, { respond }: TcpConnectionOptions, timer: NodeJS.Timeout): Promise<void> {
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (held.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + held.readUInt16BE(0);
      if (end > LENGTH_BYTES + MOST_MESSAGE_BYTES) return;
      if (held.length < end) break;
      timer.refresh();
      const answer = await respond(held.subarray(LENGTH_BYTES, end));
      if (answer === null || socket.destroyed) return;
      held = held.subarray(end);
      await write(socket, answer);
    }
  }
}

/** Resolves when the answer is on its way, or will never be. */
function write(socket: Socket, message: Buffer): Promise<void> {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length);
  return new Promise((resolve) => socket.write(Buffer.concat([length, message]), () => resolve()));
}
