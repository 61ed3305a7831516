// Bodies of 1 MiB, down and up, over plain HTTP/1.1 and over TLS, and down over HTTP/2.

import { h2load } from "../load/h2load.ts";
import { wrk } from "../load/wrk.ts";
import { timesHaproxy, type Scenario } from "../scenario.ts";

const CONNECTIONS = 16;
const BODY_BYTES = 1024 * 1024;

export const downPlain: Scenario = bodies("down-plain", "1 MiB down, plain HTTP/1.1", "wrk", ({ httpPort }, seconds) =>
  wrk({ scheme: "http", port: httpPort, path: "/1m", connections: CONNECTIONS, seconds }),
);
export const upPlain: Scenario = bodies("up-plain", "1 MiB up, plain HTTP/1.1", "wrk", ({ httpPort }, seconds) =>
  wrk({ scheme: "http", port: httpPort, bodyBytes: BODY_BYTES, connections: CONNECTIONS, seconds }),
);
export const downTls: Scenario = bodies("down-tls", "1 MiB down, TLS HTTP/1.1", "wrk", ({ httpsPort }, seconds) =>
  wrk({ scheme: "https", port: httpsPort, path: "/1m", connections: CONNECTIONS, seconds }),
);
export const upTls: Scenario = bodies("up-tls", "1 MiB up, TLS HTTP/1.1", "wrk", ({ httpsPort }, seconds) =>
  wrk({ scheme: "https", port: httpsPort, bodyBytes: BODY_BYTES, connections: CONNECTIONS, seconds }),
);
export const downH2: Scenario = {
  ...bodies("down-h2", "1 MiB down, HTTP/2", "h2load", ({ httpsPort }, seconds) =>
    h2load({ port: httpsPort, path: "/1m", connections: CONNECTIONS, streams: 1, seconds }),
  ),
  needs: "h2",
};

function bodies(name: string, title: string, generator: string, measure: Scenario["measure"]): Scenario {
  const load = `${generator}, ${CONNECTIONS} connections, one request at a time on each.`;
  return { name, title, load, needs: "http", unit: "request", judged: "cpuUs", goals: [timesHaproxy(1.2)], measure };
}
