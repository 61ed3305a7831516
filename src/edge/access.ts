// Hot path. Who may come to an app, and how much of it: asked before anything that a machine could be woken for. An app without rules has
// none of this, and its requests pay for looking whether it has.

import type { AccessRules } from "../core/app.ts";
import { AddressSet } from "../core/address-set.ts";
import type { ErrorCode } from "../core/errors.ts";
import { IP_WORDS, parseIp } from "../core/ip-address.ts";
import type { ClientFacts } from "../upstream/forward.ts";
import { TOO_MANY, UNCOUNTED, type AddressTable } from "../catalog/address-table.ts";

export interface AccessOptions {
  /** Whose rules they are. */
  readonly app: string;
  readonly rules: AccessRules;
  readonly table: AddressTable;
  /** Milliseconds of a clock that all threads share. */
  readonly now: () => number;
}

export class Access {
  /** Of the last refusal: seconds after which the client may come again; null where that would not help. */
  retryAfterS: number | null = null;
  readonly #allow: AddressSet;
  readonly #deny: AddressSet;
  readonly #rate: AccessRules["rate"];
  readonly #mostConnections: number | null;
  readonly #table: AddressTable;
  readonly #app: string;
  readonly #scope: number;
  readonly #text: string;
  readonly #now: () => number;
  readonly #words = new Uint32Array(IP_WORDS);

  constructor({ app, rules, table, now }: AccessOptions) {
    this.#allow = new AddressSet(rules.allow);
    this.#deny = new AddressSet(rules.deny);
    this.#rate = rules.rate;
    this.#mostConnections = rules.connectionsPerAddress;
    this.#table = table;
    this.#app = app;
    this.#text = JSON.stringify(rules);
    this.#scope = table.scope(app);
    this.#now = now;
  }

  /** Why a client gets nothing; null when it may come. Then this was one of the requests that its address has in a time. */
  refusal(ip: string): ErrorCode | null {
    const words = this.#words;
    this.retryAfterS = null;
    const family = parseIp(ip, words);
    if (family === null) return this.#allow.isEmpty ? null : "access_denied";
    if (this.#deny.includes(family, words)) return "access_denied";
    if (!this.#allow.isEmpty && !this.#allow.includes(family, words)) return "access_denied";
    const rate = this.#rate;
    if (rate === null) return null;
    const { intervalMs, toleranceMs } = rate;
    const waitMs = this.#table.take(this.#scope, family, words, intervalMs, toleranceMs, this.#now());
    if (waitMs === 0) return null;
    this.retryAfterS = Math.ceil(waitMs / 1000);
    return "rate_limited";
  }

  /**
   * One more connection of a client.
   * @returns what the table takes back when it ends; null: its address has as many as it may have
   */
  connect(ip: string): number | null {
    if (this.#mostConnections === null) return UNCOUNTED;
    const family = parseIp(ip, this.#words);
    if (family === null) return UNCOUNTED;
    const place = this.#table.connect(this.#scope, family, this.#words, this.#mostConnections, this.#now());
    return place === TOO_MANY ? null : place;
  }

  /** The connection of a request, unless it is counted already. False: its address has as many as it may have. */
  countConnection(client: ClientFacts): boolean {
    // A proxy's connections are those of many clients.
    if (this.#mostConnections === null || client.isTrusted || client.places?.has(this.#app) === true) return true;
    const place = this.connect(client.ip);
    if (place === null) return false;
    (client.places ??= new Map()).set(this.#app, place);
    return true;
  }

  /** The app's rules are these still. */
  holds(rules: AccessRules): boolean {
    return JSON.stringify(rules) === this.#text;
  }

  disconnect(place: number): void {
    this.#table.disconnect(place);
  }
}
