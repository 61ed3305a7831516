// A port of loopback for a DNS server that cannot choose one itself.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

/** Free for UDP and TCP. Somebody else may take it before it is used; the server says so then. */
export async function freeDnsPort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const socket = createSocket("udp4");
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once("error", () => resolve(false));
      socket.bind(port, "127.0.0.1", () => resolve(true));
    });
    socket.close();
    await once(server.close(), "close");
    if (isFree) return port;
  }
}
