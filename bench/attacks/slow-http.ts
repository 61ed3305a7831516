// Clients that take their time over HTTP/1.1, by Debian's slowhttptest: heads that never end (slowloris), bodies that never end, and responses of 1 MiB
// that are hardly read. It names the host as it connects to it, which is why the app is also called "localhost".

import type { Attack } from "../attack.ts";
import { findProgram } from "../contestant.ts";
import { LOAD_CORE, startServer } from "../measure.ts";

const CONNECTIONS = 1000;
/** Each of them has a response of 1 MiB on its way through the kernel's buffers. */
const READERS = 300;
const MOST_MB = 128;

export const slowloris: Attack = slowHttp("slowloris", CONNECTIONS, ["-H", "-i", "1", "-x", "24"]);
export const slowBody: Attack = slowHttp("slow body", CONNECTIONS, ["-B", "-i", "1", "-s", "8192", "-x", "10"]);
export const slowRead: Attack = slowHttp("slow read", READERS, ["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32"], "1m");

function slowHttp(name: string, connections: number, options: readonly string[], path = ""): Attack {
  return {
    name,
    holds: connections,
    mostMb: MOST_MB,
    missing: () => Promise.resolve(findProgram("slowhttptest") === null ? 'it needs the Debian package "slowhttptest"' : null),
    start: ({ httpPort }) => {
      const common = ["-c", String(connections), "-r", String(connections), "-l", "600", "-u", `http://localhost:${httpPort}/${path}`];
      // It gives way to the client whose latency is measured on the same core: what counts is what happens in the proxy.
      return startServer(LOAD_CORE, ["nice", "-n", "19", "slowhttptest", ...options, ...common], httpPort);
    },
  };
}
