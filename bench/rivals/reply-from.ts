// @fastify/reply-from, with HTTP/2 by Node's own module. It upgrades no connection to a WebSocket.

import { fileURLToPath } from "node:url";
import type { Contestant } from "../contestant.ts";
import { startNodeRival } from "../node-rival.ts";

export const replyFrom: Contestant = {
  name: "@fastify/reply-from",
  isCompiledLate: true,
  missing: () => (isInstalled("@fastify/reply-from") ? null : 'the npm package "@fastify/reply-from"; run npm ci'),
  start: (backendPort, certificate) =>
    startNodeRival(fileURLToPath(new URL("servers/reply-from.mjs", import.meta.url)), backendPort, certificate),
};

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}
