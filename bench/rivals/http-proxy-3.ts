// http-proxy-3, the successor of what most Node programs proxy with. It speaks no HTTP/2.

import { fileURLToPath } from "node:url";
import type { Contestant } from "../contestant.ts";
import { startNodeRival } from "../node-rival.ts";

export const httpProxy3: Contestant = {
  name: "http-proxy-3",
  isCompiledLate: true,
  missing: () => null,
  start: (backendPort, certificate) =>
    startNodeRival(fileURLToPath(new URL("servers/http-proxy-3.ts", import.meta.url)), backendPort, certificate),
};
