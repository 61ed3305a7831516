// Clients from wherever a test wants: to a node that takes this computer for a proxy in front, each says by a PROXY header who it is.

import { writeProxyHeader } from "../../src/http/proxy-header.ts";
import { RawClient } from "./raw-client.ts";

/** For `[edge]` of the node. */
export const BELIEVES_CLIENTS = 'proxy_protocol_from = ["127.0.0.0/8"]';

export async function connectFrom(sourceIp: string, port: number): Promise<RawClient> {
  const destinationIp = sourceIp.includes(":") ? "2001:db8::1" : "198.51.100.1";
  const client = await RawClient.connect(port);
  return client.send(writeProxyHeader("v2", { sourceIp, sourcePort: 4711, destinationIp, destinationPort: 80 }));
}
