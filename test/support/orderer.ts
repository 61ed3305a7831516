// Another node of the fleet, as far as an edge hears of it: orders certificates, and publishes their challenges in the same store.

import { join } from "node:path";
import { pino } from "pino";
import type { Challenge } from "../../src/certs/acme/challenge.ts";
import { Challenges } from "../../src/certs/challenges.ts";
import { SqliteStore } from "../../src/state/sqlite-store.ts";
import type { Lease } from "../../src/state/store.ts";
import type { TestNode } from "./node.ts";

const HOUR_MS = 3_600_000;

export class Orderer implements AsyncDisposable {
  readonly store: SqliteStore;
  readonly challenges: Challenges;
  readonly #leases = new Map<string, Lease>();

  private constructor(store: SqliteStore) {
    this.store = store;
    const nobody = { onKnown: () => {}, onForgotten: () => {}, taken: async () => {} };
    this.challenges = new Challenges({ store, ...nobody, log: pino({ level: "silent" }) });
  }

  static beside({ dir }: TestNode): Orderer {
    return new Orderer(new SqliteStore({ path: join(dir, "data", "state.db") }));
  }

  async publish(challenge: Challenge): Promise<void> {
    await this.challenges.publish(challenge, await this.#lease(challenge.name));
  }

  async withdraw(challenge: Challenge): Promise<void> {
    await this.challenges.withdraw(challenge, await this.#lease(challenge.name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
  }

  async #lease(name: string): Promise<Lease> {
    const held = this.#leases.get(name) ?? (await this.store.lease(`certs/${name}`, HOUR_MS));
    if (held === null) throw new Error(`the lease of ${name} is held by another`);
    this.#leases.set(name, held);
    return held;
  }
}

export function httpChallenge(token: string, expiresAtMs = Date.now() + HOUR_MS): Challenge {
  return { type: "http-01", name: "hello.localhost", token, keyAuthorization: `${token}.thumbprint`, expiresAtMs };
}

export function alpnChallenge(name: string, expiresAtMs = Date.now() + HOUR_MS): Challenge {
  return { type: "tls-alpn-01", name, token: `token-of-${name}`, keyAuthorization: `token-of-${name}.thumbprint`, expiresAtMs };
}
