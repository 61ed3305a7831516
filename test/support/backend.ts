// Real programs behind the edge: an HTTP server whose answers a test chooses, and a raw one that sends whatever bytes it is told to.

import { once } from "node:events";
import type { RequestListener, Server as HttpServer } from "node:http";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

export interface Backend extends AsyncDisposable {
  readonly port: number;
  readonly server: Server | HttpServer;
}

export async function startBackend(listener: RequestListener): Promise<Backend & { readonly server: HttpServer }> {
  // Imported like this it loads fetch and all that belongs to it: only where it is of use.
  const { createServer: createHttpServer } = await import("node:http");
  const server = createHttpServer(listener);
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    server,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Every connection goes to `onConnection`; all are destroyed at the end. */
export async function startRawBackend(onConnection: (socket: Socket) => void): Promise<Backend> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    server,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** One that nobody listens on now; the kernel gives it to nobody else soon. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** The `fly.toml` of an app whose one machine is a server that a test runs. */
export function staticApp(name: string, port: number, more = ""): string {
  return `
app = "${name}"
primary_region = "ams"
[http_service]
internal_port = 8080
[http_service.concurrency]
type = "requests"
[kittiwake]
driver = "static"
[[kittiwake.machines]]
id = "${name}-1"
region = "ams"
address = "127.0.0.1:${port}"
${more}
`;
}
