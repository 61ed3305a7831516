// TLS 1.3 connections, each from the SYN to the FIN with one request on it: with a full handshake (X25519, P-256), or resuming an earlier session by its ticket.

import { HOST } from "../certificate.ts";
import { runOwnLoad } from "../load/own-program.ts";
import type { TlsConnectionsOptions } from "../load/tls-connections.ts";
import { timesHaproxy, type Scenario } from "../scenario.ts";

const LANES = 16;

export const full: Scenario = handshakes("full-handshake", "full TLS handshakes", false);
export const resumed: Scenario = handshakes("resumed-handshake", "resumed TLS handshakes", true);

function handshakes(name: string, title: string, resumes: boolean): Scenario {
  return {
    name,
    title,
    load: `A Node program, ${LANES} at a time; a connection has one small request, and the client closes it.`,
    needs: "http",
    unit: "connection",
    judged: "cpuUs",
    goals: [timesHaproxy(1.3)],
    measure: ({ httpsPort }, seconds) => {
      const options: TlsConnectionsOptions = { port: httpsPort, host: HOST, lanes: LANES, seconds, resumes };
      return runOwnLoad("tls-connections.ts", options);
    },
  };
}
