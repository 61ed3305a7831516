// The demo's app "slow": needs a second before it listens, as larger apps do. Any Node from 18 on runs it; it knows nothing of
// Kittiwake but its environment.

import { createServer } from "node:http";

const { PORT = "8080", FLY_APP_NAME = "slow", FLY_REGION = "nowhere", FLY_MACHINE_ID = "none" } = process.env;

const BOOT_MS = 1_000;

const server = createServer((_request, response) => {
  response.setHeader("content-type", "text/plain; charset=utf-8");
  const lines = [
    `slowly, from ${FLY_REGION}`,
    `app      ${FLY_APP_NAME}`,
    `machine  ${FLY_MACHINE_ID}`,
    `pid      ${process.pid}`,
    `up       ${process.uptime().toFixed(1)} s`,
  ];
  response.end(`${lines.join("\n")}\n`);
});

setTimeout(() => {
  server.listen(Number(PORT), "127.0.0.1", () => console.log(`${FLY_APP_NAME} listens on port ${server.address().port}`));
}, BOOT_MS);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    // It may not listen yet.
    if (!server.listening) process.exit(0);
    server.close();
    server.closeIdleConnections?.();
    // A response under way may end; a connection that stays open is no reason to stay.
    setTimeout(() => process.exit(0), 1_000).unref();
  });
}
