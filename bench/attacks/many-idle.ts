// 5 000 TLS connections that had one request each and then say nothing.

import { fileURLToPath } from "node:url";
import type { Attack } from "../attack.ts";
import { HOST } from "../certificate.ts";
import type { IdleConnectionsOptions } from "../load/idle-connections.ts";
import { LOAD_CORE, startProgram } from "../measure.ts";

const CONNECTIONS = 5000;
/** kB for each, twice what one must cost, and what the heap breathes meanwhile. */
const MOST_MB = (CONNECTIONS * 64) / 1024 + 128;
const PROGRAM = fileURLToPath(new URL("../load/idle-connections.ts", import.meta.url));

export const manyIdle: Attack = {
  name: "5 000 idle connections",
  holds: CONNECTIONS,
  mostMb: MOST_MB,
  missing: () => Promise.resolve(null),
  start: ({ httpsPort }) => {
    const options: IdleConnectionsOptions = { port: httpsPort, host: HOST, connections: CONNECTIONS, lanes: 16 };
    return startProgram(LOAD_CORE, [PROGRAM, JSON.stringify(options)], /^ready /);
  },
};
