// Apps without the http handler for behaviour tests: their fly.toml, and machines that send back what they get.

import type { Socket } from "node:net";
import { INTERNAL_PORT } from "./apps.ts";
import { startRawBackend, type Backend } from "./backend.ts";

export interface RawAppOptions {
  /** Machines at these ports of this computer, in ams. */
  readonly machines: readonly number[];
  /** The lines of `[[services.ports]]`. */
  readonly port: string;
  readonly protocol?: "tcp" | "udp";
  readonly internalPort?: number;
  /** More lines of the service. */
  readonly service?: string;
  /** More lines of [kittiwake]. */
  readonly more?: string;
}

export function rawApp(name: string, options: RawAppOptions): string {
  const { machines, port, protocol = "tcp", service = "", more = "", internalPort = INTERNAL_PORT } = options;
  return [
    `app = "${name}"`,
    'primary_region = "ams"',
    "[[services]]",
    `protocol = "${protocol}"`,
    `internal_port = ${internalPort}`,
    service,
    "[[services.ports]]",
    port,
    "[kittiwake]",
    'driver = "static"',
    more,
    ...machines.flatMap((at, index) => [
      "[[kittiwake.machines]]",
      `id = "${name}-${index + 1}"`,
      'region = "ams"',
      `address = "127.0.0.1:${at}"`,
    ]),
  ].join("\n");
}

/** Sends back what it gets, and ends when its client does. */
export function startEcho(): Promise<Backend> {
  return startRawBackend((socket: Socket) => socket.pipe(socket));
}

/** Answers with its name in front of what it got, when its client has sent all. */
export function startNamed(name: string): Promise<Backend> {
  return startRawBackend((socket: Socket) => {
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("end", () => socket.end(Buffer.concat([Buffer.from(`${name}: `), ...parts])));
  });
}
