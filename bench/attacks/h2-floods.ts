// Floods of HTTP/2 frames that cost the sender little: streams opened and reset at once (rapid reset, CVE-2023-44487), and a head that goes on and on in
// CONTINUATION frames (CVE-2024-27316 and its kin). Connections that are closed for it are opened anew at once.

import { fileURLToPath } from "node:url";
import { negotiatesH2 } from "../abilities.ts";
import type { Attack } from "../attack.ts";
import { HOST } from "../certificate.ts";
import type { H2FloodOptions } from "../load/h2-flood.ts";
import { LOAD_CORE, startProgram } from "../measure.ts";

const CONNECTIONS = 4;
const MOST_MB = 128;
const PROGRAM = fileURLToPath(new URL("../load/h2-flood.ts", import.meta.url));

export const rapidReset: Attack = flood("rapid-reset");
export const continuation: Attack = flood("continuation");

function flood(kind: H2FloodOptions["kind"]): Attack {
  return {
    name: `${kind} flood`,
    holds: 0,
    mostMb: MOST_MB,
    missing: async ({ httpsPort }) => ((await negotiatesH2(httpsPort)) ? null : "it speaks no HTTP/2"),
    start: ({ httpsPort }) => {
      const options: H2FloodOptions = { kind, port: httpsPort, host: HOST, connections: CONNECTIONS };
      return startProgram(LOAD_CORE, [PROGRAM, JSON.stringify(options)], /^ready/);
    },
  };
}
