// HTTP/1.1 over keep-alive connections, plain and over TLS: what a request costs when nothing else happens.

import { wrk } from "../load/wrk.ts";
import { timesHaproxy, type Scenario } from "../scenario.ts";

const CONNECTIONS = 64;

export const plain: Scenario = {
  name: "plain",
  title: "plain HTTP/1.1 keep-alive",
  load: `wrk, ${CONNECTIONS} connections, small responses.`,
  needs: "http",
  unit: "request",
  judged: "cpuUs",
  goals: [timesHaproxy(1.3), { kind: "times", rival: "Caddy", most: 0.3 }, { kind: "times", rival: "http-proxy-3", most: 0.15 }],
  measure: ({ httpPort }, seconds) => wrk({ scheme: "http", port: httpPort, connections: CONNECTIONS, seconds }),
};

export const tls: Scenario = {
  name: "tls",
  title: "TLS HTTP/1.1 keep-alive",
  load: `wrk, ${CONNECTIONS} TLS connections, whose handshakes are in the figures, small responses.`,
  needs: "http",
  unit: "request",
  judged: "cpuUs",
  goals: [timesHaproxy(1.35)],
  measure: ({ httpsPort }, seconds) => wrk({ scheme: "https", port: httpsPort, connections: CONNECTIONS, seconds }),
};
