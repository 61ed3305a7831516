// Messages of 64 bytes over WebSockets, sent back by the backend: what a tunnel costs.

import { HOST } from "../certificate.ts";
import { runOwnLoad } from "../load/own-program.ts";
import type { WebSocketEchoOptions } from "../load/websocket-echo.ts";
import type { Scenario } from "../scenario.ts";

const CONNECTIONS = 64;

export const websocket: Scenario = {
  name: "websocket",
  title: "WebSocket echo",
  load: `A Node program, ${CONNECTIONS} plain WebSockets, one message of 64 bytes at a time on each; a message goes there and back.`,
  needs: "websocket",
  unit: "message",
  judged: "cpuUs",
  goals: [],
  measure: ({ httpPort }, seconds) => {
    const options: WebSocketEchoOptions = { port: httpPort, host: HOST, connections: CONNECTIONS, seconds };
    return runOwnLoad("websocket-echo.ts", options);
  },
};
