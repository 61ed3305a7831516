// http-proxy-3 with keep-alive to the backend, as its users run it. Arguments: the backend's port, and for HTTPS the files of a certificate and
// its key. Prints its own ports.

import { readFileSync } from "node:fs";
import { Agent, createServer, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createProxyServer } from "http-proxy-3";

const [backendPort, certificatePath, keyPath] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const proxy = createProxyServer({ target: `http://127.0.0.1:${backendPort}`, agent, xfwd: true });
proxy.on("error", (_error, _request, response) => response.destroy());
const onRequest: RequestListener = (request, response) => void proxy.web(request, response);

const servers: Server[] = [createServer(onRequest)];
if (certificatePath !== undefined && keyPath !== undefined) {
  servers.push(createSecureServer({ cert: readFileSync(certificatePath), key: readFileSync(keyPath) }, onRequest));
}
for (const server of servers) {
  server.keepAliveTimeout = 75_000;
  server.on("upgrade", (request, socket, head) => void proxy.ws(request, socket, head));
  await once(server.listen(0, "127.0.0.1"), "listening");
}
console.log(`ready ${servers.map((server) => (server.address() as AddressInfo).port).join(" ")}`);
process.on("SIGTERM", () => process.exit(0));
