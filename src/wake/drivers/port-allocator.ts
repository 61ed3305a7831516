// Gives machines ports of their own on the loopback that all machines of a host share.

import { createHash } from "node:crypto";
import { createServer } from "node:net";

import { ProxyError } from "../../core/errors.ts";

export interface PortAllocatorOptions {
  /** Both inclusive. */
  readonly first: number;
  readonly last: number;
  /** Spreads the nodes of one computer over the range. */
  readonly seed: string;
}

/** Below Linux's ephemeral range, so that no outgoing connection can sit on a port that a machine is about to bind. */
export const MACHINE_PORTS = { first: 20_000, last: 32_767 } as const;

/** Wildcard addresses conflict with every listener of their family, loopback included; `::` also covers IPv4 where there is IPv6. */
const PROBED_ADDRESSES = ["0.0.0.0", "::"] as const;

export class PortAllocator {
  readonly #options: PortAllocatorOptions;
  readonly #owners = new Map<number, string>();

  constructor(options: PortAllocatorOptions) {
    this.#options = options;
  }

  /**
   * That many ports which nothing listens on and nobody else was given. The search starts at a hash of the owner, so a machine
   * mostly gets its earlier ports again. Between this look and the machine's own bind another program may still take one.
   * Throws `spawn_failed` when the range is used up; the owner keeps nothing of this call then.
   */
  async allocate(owner: string, count: number): Promise<number[]> {
    const { first, last, seed } = this.#options;
    const size = last - first + 1;
    const start = createHash("sha256").update(`${seed}\0${owner}`).digest().readUInt32BE(0) % size;
    const ports: number[] = [];
    for (let step = 0; step < size && ports.length < count; step++) {
      const port = first + ((start + step) % size);
      if (this.#owners.has(port)) continue;
      // Taken before the probe: a concurrent call must not try the same one.
      this.#owners.set(port, owner);
      if (await isFree(port)) ports.push(port);
      else this.#owners.delete(port);
    }
    if (ports.length === count) return ports;
    for (const port of ports) this.#owners.delete(port);
    throw new ProxyError("spawn_failed", `no free port left for machine "${owner}" between ${first} and ${last}`);
  }

  /** Notes ports that the owner has already, such as those of an adopted machine. */
  reserve(owner: string, ports: Iterable<number>): void {
    for (const port of ports) this.#owners.set(port, owner);
  }

  /** Takes back all ports of the owner. */
  release(owner: string): void {
    for (const [port, holder] of this.#owners) if (holder === owner) this.#owners.delete(port);
  }
}

async function isFree(port: number): Promise<boolean> {
  for (const host of PROBED_ADDRESSES) if (!(await canBind(host, port))) return false;
  return true;
}

function canBind(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    // A computer without IPv6 has no listener there either.
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EAFNOSUPPORT" || error.code === "EADDRNOTAVAIL"));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
