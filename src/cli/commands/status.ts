// `kittiwake status`: the running node at a glance.

import { formatDuration } from "../../core/duration.ts";
import type { GlobalOptions } from "../config-source.ts";
import { connect } from "../connect.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatTable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

export async function status(options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const node = await client.status();
  if (options.json === true) {
    printJson(terminal, node);
    return EXIT.ok;
  }
  const up = formatDuration(Math.max(0, Math.floor((Date.now() - node.started_at_ms) / 1000) * 1000));
  const connections = node.workers.reduce((sum, worker) => sum + worker.connections, 0);
  const restarts = node.workers.reduce((sum, worker) => sum + worker.restarts, 0);
  const listeners = node.listeners.map(({ scheme, host, port, public_port: publicPort }) => [
    scheme,
    host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
    publicPort,
  ]);
  const apps = node.apps.map(({ name, machines, started, hostnames }) => [name, machines, started, hostnames.join(" ")]);
  terminal.print(
    [
      `node ${node.node} in region ${node.region}: ${node.ready ? "ready" : "not ready"}, up ${up}`,
      `kittiwake ${node.version} on node ${node.runtime}, pid ${node.pid}`,
      `${node.workers.length} workers (${restarts} restarts), ${connections} client connections, ${node.waiting} requests waiting for a machine`,
      "",
      formatTable(["SCHEME", "LISTENS ON", "PUBLIC PORT"], listeners),
      "",
      formatTable(["APP", "MACHINES", "STARTED", "HOST NAMES"], apps),
    ].join("\n"),
  );
  return EXIT.ok;
}
