// http-proxy-3 with keep-alive to the backend, as its users run it. Argument: the backend's port. Prints its own.

import { Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createProxyServer } from "http-proxy-3";

const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const proxy = createProxyServer({ target: `http://127.0.0.1:${process.argv[2]}`, agent, xfwd: true });
proxy.on("error", (_error, _request, response) => response.destroy());
const server = createServer((request, response) => void proxy.web(request, response));
server.keepAliveTimeout = 75_000;
server.listen(0, "127.0.0.1", () => console.log(`ready ${(server.address() as AddressInfo).port}`));
process.on("SIGTERM", () => process.exit(0));
