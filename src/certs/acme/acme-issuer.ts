// Certificates from a CA that speaks ACME (RFC 8555): one order from its first step to its last, resumed where another node left it. When
// to order, and under which lease, is for the caller to decide.

import type { Logger } from "pino";

import type { Fence, Store } from "../../state/store.ts";
import type { IssuedCertificate } from "../issuer.ts";
import { type AcmeAccount, AcmeAccounts } from "./accounts.ts";
import type { ChallengePublisher, ChallengeType } from "./challenge.ts";
import type { KeyKind } from "./keys.ts";
import { Order } from "./order.ts";
import { OrderRecords } from "./order-record.ts";
import { acmeProblemOf, unavailable } from "./problem.ts";
import { AcmeSession, type ExternalAccount } from "./session.ts";
import { AcmeTransport } from "./transport.ts";

/** Seals what goes into the store, for the entry it goes into; certs/secret.ts. */
export interface Sealer {
  seal(storeKey: string, text: string): string;
  /** Throws when it is sealed with another secret, or for another entry. */
  open(storeKey: string, sealed: string): string;
}

export interface AcmeIssuerOptions {
  /** URL of the CA's directory. */
  readonly directory: string;
  /** PEM file with roots to trust for the CA itself, beside the system's. */
  readonly caFile: string | null;
  readonly email: string | null;
  readonly termsAgreed: boolean;
  readonly externalAccount: ExternalAccount | null;
  readonly key: KeyKind;
  /** One of the CA's profiles of certificates; null: its default. */
  readonly profile: string | null;
  /** Who answers challenges, in the order in which the types are tried. */
  readonly publishers: ReadonlyMap<ChallengeType, ChallengePublisher>;
  readonly store: Store;
  readonly sealer: Sealer;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Multiplies every pause between two looks at the CA; for tests. */
  readonly pace?: number;
}

export interface IssueOptions {
  /** Gives the order up; another call goes on with it. */
  readonly signal: AbortSignal;
  /** Of the lease of the name, `certs/<name>`. */
  readonly fence: Fence;
  /** ARI's id of the certificate that this one takes the place of (RFC 9773, section 4.1), where the CA offers ARI. */
  readonly replaces?: string | null;
  /** Another directory of the same owner, such as its staging one: nobody trusts what comes from there. */
  readonly directory?: string;
}

export interface IssuedByAcme extends IssuedCertificate {
  readonly directory: string;
  /** What proved the name; null: the CA still believed an earlier proof. */
  readonly challenge: ChallengeType | null;
}

/** An order takes seconds; DNS-01 minutes. Whatever it is doing by then is given up, and gone on with next time. */
const LONGEST_MS = 10 * 60_000;

export class AcmeIssuer {
  readonly #options: AcmeIssuerOptions;
  readonly #transport: AcmeTransport;
  readonly #accounts: AcmeAccounts;
  readonly #records: OrderRecords;

  private constructor(options: AcmeIssuerOptions, transport: AcmeTransport) {
    this.#options = options;
    this.#transport = transport;
    this.#accounts = new AcmeAccounts({ ...options, transport });
    this.#records = new OrderRecords(options.store);
  }

  /** Asks the CA nothing yet. Throws `certificate_unavailable` when `caFile` cannot be used. */
  static async open(options: AcmeIssuerOptions): Promise<AcmeIssuer> {
    return new AcmeIssuer(options, await AcmeTransport.open(options));
  }

  /** For questions that need no account, such as ARI. */
  get transport(): AcmeTransport {
    return this.#transport;
  }

  /**
   * Obtains a certificate for a canonical name, wildcards included, or goes on with the order that was begun for it. Once the result is kept,
   * `settle` must be called. Throws `certificate_unavailable`; `acmeProblemOf` gives the CA's part in it, `failedValidations` how often it
   * looked in vain. Throws `lease_lost` when another node took over.
   */
  async issue(hostname: string, options: IssueOptions): Promise<IssuedByAcme> {
    const late = AbortSignal.timeout(LONGEST_MS);
    const signal = AbortSignal.any([options.signal, late]);
    const directory = options.directory ?? this.#options.directory;
    try {
      const account = await this.#accounts.get(directory, signal);
      const order = { hostname, directory, fence: options.fence, replaces: options.replaces ?? null, signal };
      try {
        return await this.#order(order, account);
      } catch (error) {
        if (acmeProblemOf(error)?.type !== "accountDoesNotExist") throw error;
        return await this.#order(order, await this.#accounts.get(directory, signal, account.url));
      }
    } catch (error) {
      if (late.aborted && !options.signal.aborted) throw unavailable(`the order was not done within ${LONGEST_MS / 60_000} minutes`, error);
      throw error;
    }
  }

  /** The certificate is kept: the order is over. Until then `issue` gives the same certificate again. */
  async settle(hostname: string, fence: Fence): Promise<void> {
    await this.#records.remove(hostname, fence);
  }

  /**
   * Has the CA declare a certificate void (RFC 8555, section 7.6); one that is void already is no error. Throws `certificate_unavailable`.
   *
   * @param reason of RFC 5280, section 5.3.1
   */
  async revoke(
    chainPem: string,
    reason: number,
    { directory, signal }: { readonly directory: string; readonly signal: AbortSignal },
  ): Promise<void> {
    const account = await this.#accounts.get(directory, signal);
    try {
      const session = await this.#session(directory, account, signal);
      await session.revoke(chainPem, reason);
    } catch (error) {
      if (acmeProblemOf(error)?.type !== "alreadyRevoked") throw error;
    }
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #order(
    { hostname, directory, fence, replaces, signal }: Required<IssueOptions> & { readonly hostname: string },
    account: AcmeAccount,
  ): Promise<IssuedByAcme> {
    const { publishers, sealer, key, profile, log, now = Date.now, pace = 1 } = this.#options;
    const session = await this.#session(directory, account, signal);
    const order = new Order({
      ...{ hostname, directory, account: account.url, replaces, profile, key, fence, signal },
      ...{ session, publishers, sealer, records: this.#records, log, now, pace },
    });
    return await order.run();
  }

  #session(directory: string, { url, keyPem }: AcmeAccount, signal: AbortSignal): Promise<AcmeSession> {
    const { externalAccount } = this.#options;
    return AcmeSession.open({ directory, transport: this.#transport, accountKeyPem: keyPem, accountUrl: url, externalAccount, signal });
  }
}
