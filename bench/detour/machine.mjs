// The program of both machines in bench/warm-detour.ts; answers with its region and when it began to listen, by as little work as can be.
// The far one is a relay, with its server in a process of its own behind it: each chunk takes half of the round trip either way, and
// the first of a connection a round trip longer where the handshake is to take its time too, which a relay cannot hold back.

import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";

const { PORT, FLY_REGION: region, FAR_REGION, RTT_MS, HANDSHAKE_MS, BEHIND } = process.env;
const BACKLOG = 1024;
const SPARE = 300;

if (BEHIND !== undefined) serve(0, (port) => console.log(port));
else if (region !== FAR_REGION) serve(Number(PORT));
else {
  const options = { env: { ...process.env, BEHIND: "relay" }, stdio: ["ignore", "pipe", "inherit"] };
  const server = spawn(process.execPath, [fileURLToPath(import.meta.url)], options);
  server.stdout.once("data", (line) => relay(Number(line)));
}
process.on("SIGINT", () => process.exit(0));

/** Every request here is a head alone that comes in one piece. */
function serve(port, onListening = () => {}) {
  let answer = "";
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", () => socket.write(answer));
    socket.on("error", () => {});
  });
  server.listen({ port, host: "127.0.0.1", backlog: BACKLOG }, () => {
    const body = `${region} ${performance.timeOrigin + performance.now()}`;
    answer = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    onListening(server.address().port);
  });
}

function relay(to) {
  // They stand before they are needed, so that a connection costs the edge no more here than it would on a network.
  const spare = Array.from({ length: SPARE }, () => open(to));
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const machine = spare.pop() ?? open(to);
    pass(client, machine, Number(HANDSHAKE_MS));
    pass(machine, client, 0);
  });
  server.listen({ port: Number(PORT), host: "127.0.0.1", backlog: BACKLOG });
}

function open(port) {
  return connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
}

/** Chunks leave as far apart as they came. */
function pass(from, to, firstMs) {
  const oneWayMs = Number(RTT_MS) / 2;
  const openMs = performance.now() + firstMs;
  const later = (act) => setTimeout(act, oneWayMs + Math.max(0, openMs - performance.now()));
  from.on("data", (chunk) => later(() => to.write(chunk)));
  from.on("end", () => later(() => to.end()));
  from.on("error", () => to.destroy());
}
