// A DNS server of ours on free ports of loopback, ended at the end of the test.

import type { Address } from "../../src/core/app.ts";
import { silent } from "../certs/fixtures.ts";
import { DnsServer, type DnsResult, type DnsServerOptions } from "../../src/dns/server.ts";

export const ZONE = "acme.example.net";
export const LABEL = "abcdefghijklmnopqrstuvwxyz234567";

export class RunningDns implements AsyncDisposable {
  readonly address: Address;
  /** In the order in which they came about. */
  readonly results: DnsResult[];
  readonly server: DnsServer;
  readonly #stop: AbortController;
  readonly #ended: Promise<void>;

  private constructor(server: DnsServer, address: Address, results: DnsResult[], stop: AbortController, ended: Promise<void>) {
    this.server = server;
    this.address = address;
    this.results = results;
    this.#stop = stop;
    this.#ended = ended;
  }

  static async start(options: Partial<DnsServerOptions> = {}): Promise<RunningDns> {
    const results: DnsResult[] = [];
    const server = new DnsServer({
      listen: [{ host: "127.0.0.1", port: 0 }],
      zone: { name: ZONE, nameServers: { [`ns1.${ZONE}`]: ["192.0.2.1", "2001:db8::1"], "ns.example.com": [] } },
      lookup: (label) => (label === LABEL ? ["first value", "second value"] : []),
      onResult: (result) => results.push(result),
      log: silent,
      ...options,
    });
    const stop = new AbortController();
    const ended = server.run(stop.signal);
    // What went wrong comes out of `listening` too, or of the end.
    ended.catch(() => {});
    const [address] = await server.listening;
    return new RunningDns(server, address!, results, stop, ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}
