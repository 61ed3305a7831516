// The authoritative DNS server of our own zone, on the main thread: it answers where CNAME records at `_acme-challenge` of other zones point
// to. Any node answers for all of them. It is never recursive, and of no use to somebody who pretends to be another: answers by UDP
// are small, and only so many go to one network.

import type { Logger } from "pino";
import type { Address } from "../core/app.ts";
import { AddressAllowances } from "../core/address-allowances.ts";
import type { Component } from "../core/component.ts";
import { ProxyError } from "../core/errors.ts";
import { Endpoint } from "./endpoint.ts";
import { Responder, type Response } from "./responder.ts";
import { Zone, type ZoneOptions } from "./zone.ts";

export interface DnsServerOptions {
  /** IP addresses with ports, each for UDP and TCP; port 0 takes any free one. */
  readonly listen: readonly Address[];
  readonly zone: ZoneOptions;
  /** Values of the TXT records at `label` below the zone. May be slow within bounds, and may fail: the resolver then asks another node. */
  lookup(label: string): readonly string[] | Promise<readonly string[]>;
  /** One message was dealt with so. */
  readonly onResult: (result: DnsResult) => void;
  readonly log: Logger;
  /** How long a TCP connection may go without a whole message, in milliseconds. @default 10 s */
  readonly idleMs?: number;
  /** @default 2 s */
  readonly lookupMs?: number;
}

/** "deferred": told to ask by TCP, "dropped": not answered, as there were too many; "ignored": no query. The others are what was answered. */
export type DnsResult = Lowercase<Response["rcode"]> | "deferred" | "dropped";

const IDLE_MS = 10_000;
const LOOKUP_MS = 2000;
/** Of one network: a public resolver that many authorities ask through stays below, and what it is worth to an attacker is little. */
const BURST = 200;
const PER_SECOND = 50;
/** Of those beyond, every so many is told to ask by TCP, so that who is only taken for an attacker gets through. */
const DEFERRED_ONE_OF = 2;
const MOST_WAITING = 256;
const ABSENT_FAMILY: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"]);

export class DnsServer implements Component {
  readonly name = "dns";
  /** Resolves once all addresses answer, with the real ports; rejects when the first attempt to listen fails. */
  readonly listening: Promise<readonly Address[]>;
  readonly #options: DnsServerOptions;
  readonly #responder: Responder;
  readonly #firstListen = Promise.withResolvers<readonly Address[]>();
  /** Apart: who sends UDP in another's name must not use up what that one has by TCP. */
  readonly #allowances = { udp: new AddressAllowances(BURST, PER_SECOND), tcp: new AddressAllowances(BURST, PER_SECOND) };
  #addresses: readonly Address[];
  #limited = 0;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#addresses = options.listen;
    const { lookupMs = LOOKUP_MS } = options;
    this.#responder = new Responder({ zone: new Zone(options.zone), lookup: (label) => options.lookup(label), lookupMs });
    this.listening = this.#firstListen.promise;
    // Whoever does not ask learns it from run.
    this.listening.catch(() => {});
  }

  async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return this.#firstListen.reject(new ProxyError("draining"));
    await using stack = new AsyncDisposableStack();
    const endpoints: Endpoint[] = [];
    for (const listen of this.#addresses) {
      const endpoint = await this.#open(listen);
      if (endpoint !== null) endpoints.push(stack.use(endpoint));
    }
    // Started anew it must be where it was, whatever ports it was given then.
    this.#addresses = endpoints.map(({ address }) => address);
    this.#firstListen.resolve(this.#addresses);
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([stopped, ...endpoints.map(({ broken }) => broken)]);
  }

  /** null: all addresses of a family that is not there. A host without IPv6 is no reason not to answer by IPv4. */
  async #open(listen: Address): Promise<Endpoint | null> {
    try {
      const respond = (message: Buffer, from: string, transport: "udp" | "tcp") => this.#respond(message, from, transport);
      return await Endpoint.open({ listen, respond, idleMs: this.#options.idleMs ?? IDLE_MS });
    } catch (cause) {
      if (listen.host === "::" && this.#addresses.length > 1 && ABSENT_FAMILY.has((cause as NodeJS.ErrnoException).code ?? "")) {
        this.#options.log.warn(listen, "this address does not exist here, the DNS server goes on without it");
        return null;
      }
      const error = listenFailure(listen, cause);
      this.#firstListen.reject(error);
      throw error;
    }
  }

  async #respond(message: Buffer, from: string, transport: "udp" | "tcp"): Promise<Buffer | null> {
    const nowMs = performance.now();
    if (!this.#allowances[transport].of(from, nowMs).take(nowMs) || this.#responder.waiting >= MOST_WAITING)
      return this.#limit(message, transport);
    const { rcode, bytes } = await this.#responder.respond(message, transport);
    this.#options.onResult(rcode.toLowerCase() as Lowercase<Response["rcode"]>);
    return bytes;
  }

  #limit(message: Buffer, transport: "udp" | "tcp"): Buffer | null {
    const isDeferred = transport === "udp" && ++this.#limited % DEFERRED_ONE_OF === 0;
    const bytes = isDeferred ? this.#responder.deferral(message).bytes : null;
    this.#options.onResult(bytes === null ? "dropped" : "deferred");
    return bytes;
  }
}

function listenFailure({ host, port }: Address, cause: unknown): ProxyError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program listens there, a resolver perhaps; name the public address alone",
    EACCES: "this port needs privileges, such as CAP_NET_BIND_SERVICE",
  };
  const reason = reasons[code ?? ""] ?? message;
  return new ProxyError("config_invalid", `the DNS server cannot listen on "${host}" port ${port}: ${reason}`, { cause });
}
