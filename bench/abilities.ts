// Finds out what a contestant can do, by trying it: what nobody offers or accepts is not measured, and is no failure.

import { once } from "node:events";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { HOST } from "./certificate.ts";
import type { RunningContestant } from "./contestant.ts";
import type { Ability } from "./scenario.ts";

/** Why it cannot; null when it can. */
export async function inability({ httpPort, httpsPort }: RunningContestant, needs: Ability): Promise<string | null> {
  if (needs === "h2") return (await negotiatesH2(httpsPort)) ? null : "speaks no HTTP/2";
  if (needs === "websocket") return (await upgrades(httpPort)) ? null : "opens no WebSocket";
  return null;
}

export async function negotiatesH2(port: number): Promise<boolean> {
  const options = { port, host: "127.0.0.1", servername: HOST, ALPNProtocols: ["h2", "http/1.1"], rejectUnauthorized: false };
  const socket = connectTls(options);
  await once(socket, "secureConnect");
  const { alpnProtocol } = socket;
  socket.destroy();
  return alpnProtocol === "h2";
}

async function upgrades(port: number): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1" });
  const lines = ["connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="];
  socket.write(["GET /echo HTTP/1.1", `host: ${HOST}`, ...lines, "", ""].join("\r\n"));
  const [chunk] = (await Promise.race([once(socket, "data"), once(socket, "close")])) as [unknown];
  socket.destroy();
  return chunk instanceof Buffer && chunk.toString("latin1", 0, 12) === "HTTP/1.1 101";
}
