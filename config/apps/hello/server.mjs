// The demo's app "hello": says which machine answered. Any Node from 18 on runs it; it knows nothing of Kittiwake but its environment.

import { createServer } from "node:http";

const { PORT = "8080", FLY_APP_NAME = "hello", FLY_REGION = "nowhere", FLY_MACHINE_ID = "none" } = process.env;

const server = createServer((request, response) => {
  response.setHeader("content-type", "text/plain; charset=utf-8");
  if (request.url === "/health") return response.end("ok\n");
  const lines = [
    `hello from ${FLY_REGION}`,
    `app      ${FLY_APP_NAME}`,
    `machine  ${FLY_MACHINE_ID}`,
    `pid      ${process.pid}`,
    `up       ${process.uptime().toFixed(1)} s`,
  ];
  return response.end(`${lines.join("\n")}\n`);
});

server.listen(Number(PORT), "127.0.0.1", () => console.log(`${FLY_APP_NAME} listens on port ${server.address().port}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    server.close();
    server.closeIdleConnections?.();
    // A response under way may end; a connection that stays open is no reason to stay.
    setTimeout(() => process.exit(0), 1_000).unref();
  });
}
