// What the tests of orders share: an issuer over a store of theirs, keys sealed by name alone, and a web server that answers HTTP-01.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AcmeIssuer, type AcmeIssuerOptions, type Sealer } from "../../../src/certs/acme/acme-issuer.ts";
import type { Challenge, ChallengePublisher, ChallengeType } from "../../../src/certs/acme/challenge.ts";
import { orderKey } from "../../../src/certs/acme/order-record.ts";
import type { Lease, Store } from "../../../src/state/store.ts";
import { silent } from "../fixtures.ts";

/** Looks at the CA twenty times as often as in earnest. */
export const PACE = 0.05;

/** Tells entries apart, and can be opened by whoever reads it. */
export const thinSealer: Sealer = {
  seal: (storeKey, text) => `thin ${storeKey} ${Buffer.from(text).toString("base64")}`,
  open: (storeKey, sealed) => {
    const [, sealedFor, encoded] = sealed.split(" ");
    if (sealedFor !== storeKey) throw new Error(`sealed for ${sealedFor}, opened for ${storeKey}`);
    return Buffer.from(encoded!, "base64").toString();
  },
};

export type IssuerOverrides = Partial<AcmeIssuerOptions> & Pick<AcmeIssuerOptions, "directory" | "store" | "publishers">;

export async function openIssuer(overrides: IssuerOverrides): Promise<AcmeIssuer> {
  return await AcmeIssuer.open({
    caFile: null,
    email: null,
    termsAgreed: true,
    externalAccount: null,
    key: "ecdsa-p256",
    profile: null,
    sealer: thinSealer,
    log: silent,
    pace: PACE,
    ...overrides,
  });
}

/** The lease of a name, which orders are made under. */
export async function leaseOf(store: Store, name: string, ttlMs = 60_000): Promise<Lease> {
  const lease = await store.lease(orderKey(name).replace("/orders/", "/"), ttlMs);
  if (lease === null) throw new Error(`the lease of ${name} is held`);
  return lease;
}

/** Answers HTTP-01, and keeps count. */
export class HttpChallenges implements ChallengePublisher, AsyncDisposable {
  readonly #server: Server;
  readonly #tokens = new Map<string, string>();
  /** All that were published. */
  readonly published: Challenge[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(port = 0): Promise<HttpChallenges> {
    const server = createServer((request, response) => {
      const answer = challenges.#tokens.get(request.url?.replace("/.well-known/acme-challenge/", "") ?? "");
      response.writeHead(answer === undefined ? 404 : 200).end(answer);
    });
    const challenges = new HttpChallenges(server);
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return challenges;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What is answered now. */
  get tokens(): readonly string[] {
    return [...this.#tokens.keys()];
  }

  async publish(challenge: Challenge): Promise<void> {
    this.published.push(challenge);
    this.#tokens.set(challenge.token, challenge.keyAuthorization);
  }

  async withdraw({ token }: Challenge): Promise<void> {
    this.#tokens.delete(token);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Answers HTTP-01 from files that any process can put into a directory. */
export function fileChallenges(directory: string): ChallengePublisher {
  return {
    publish: async ({ token, keyAuthorization }) => writeFileSync(join(directory, token), keyAuthorization),
    withdraw: async ({ token }) => rmSync(join(directory, token), { force: true }),
  };
}

/** Publishes nothing, and says that it did. */
export const deaf: ChallengePublisher = { publish: async () => {}, withdraw: async () => {} };

export function publishers(
  ...entries: readonly (readonly [ChallengeType, ChallengePublisher])[]
): ReadonlyMap<ChallengeType, ChallengePublisher> {
  return new Map(entries);
}
