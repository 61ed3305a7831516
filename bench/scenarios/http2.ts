// HTTP/2 over TLS with 1, 8 and 32 streams a connection at a time.

import { h2load } from "../load/h2load.ts";
import { timesHaproxy, type Scenario } from "../scenario.ts";

/** Those that the goals were measured with. */
const CONNECTIONS = { 1: 64, 8: 16, 32: 64 } as const;

export const h2m1: Scenario = http2(1);
export const h2m8: Scenario = http2(8);
export const h2m32: Scenario = http2(32);

function http2(streams: keyof typeof CONNECTIONS): Scenario {
  const connections = CONNECTIONS[streams];
  return {
    name: `h2-${streams}`,
    title: `HTTP/2 over TLS, ${streams} ${streams === 1 ? "stream" : "streams"} a connection`,
    load: `h2load, ${connections} connections, whose handshakes are in the figures, ${streams} at a time on each, small responses.`,
    needs: "h2",
    unit: "request",
    judged: "cpuUs",
    goals: [timesHaproxy(1.2), { kind: "times", rival: "nginx", most: 0.75 }, { kind: "times", rival: "Caddy", most: 0.2 }],
    measure: ({ httpsPort }, seconds) => h2load({ port: httpsPort, connections, streams, seconds }),
  };
}
