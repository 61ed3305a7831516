// The driver "static": machines that exist already, at addresses given in the config. There is nothing to start and nothing to end.

import type { Address } from "../../core/app.ts";
import { ProxyError } from "../../core/errors.ts";
import type { Adopted, Driver, Launched, LaunchSpec } from "../driver.ts";

export class StaticDriver implements Driver {
  readonly name = "static";
  readonly canStart = false;
  readonly canSuspend = false;

  async start(machine: LaunchSpec): Promise<Launched> {
    return { handle: {}, addresses: addressesOf(machine), pid: null };
  }

  async suspend(machine: LaunchSpec): Promise<void> {
    throw new ProxyError(
      "not_supported",
      `machine "${machine.app}/${machine.name}" is at a given address; it cannot be suspended from here`,
    );
  }

  async resume(): Promise<void> {}

  /** Ends nothing: whoever runs the machine ends it. */
  async stop(): Promise<void> {}

  async adopt(machine: LaunchSpec): Promise<Adopted> {
    return { ...(await this.start(machine)), state: "started" };
  }

  async close(): Promise<void> {}
}

/** The given port is that of the first service; further services listen on their internal ports, as they would on Fly. */
function addressesOf(machine: LaunchSpec): Record<number, Address> {
  const { address, internalPorts } = machine;
  if (address === null) {
    throw new ProxyError("spawn_failed", `machine "${machine.app}/${machine.name}" has no address; give it one in [[kittiwake.machines]]`);
  }
  const [first] = internalPorts;
  const portOf = (internalPort: number): number => (internalPort === first ? address.port : internalPort);
  return Object.fromEntries(internalPorts.map((internalPort) => [internalPort, { host: address.host, port: portOf(internalPort) }]));
}
