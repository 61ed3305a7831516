// One order of one name, from wherever it is to its certificate (RFC 8555, section 7.4). Whatever must outlive this process is in the store
// before the CA hears of it, so that a successor goes on at any step:
//
//     key kept ──► ordered ──► pending ──► challenge published ──► CA looks ──► ready ──► finalized ──► processing ──► valid ──► checked
//                    ▲                                               │ fails: the next type, for which there must be a new order
//                    └───────────────────────────────────────────────┘

import type { Logger } from "pino";

import { ProxyError } from "../../core/errors.ts";
import type { Fence } from "../../state/store.ts";
import { createRequest } from "../sign.ts";
import type { IssuedByAcme, Sealer } from "./acme-issuer.ts";
import { checkChain } from "./chain.ts";
import type { Challenge, ChallengePublisher, ChallengeType } from "./challenge.ts";
import { generateKeyPem, type KeyKind } from "./keys.ts";
import { type FailedChallenge, orderKey, type OrderRecord, type OrderRecords } from "./order-record.ts";
import { isOurs, Patience } from "./patience.ts";
import { AcmeProblem, acmeProblemOf, unavailable } from "./problem.ts";
import { type AcmeSession, type Authorization, failureIn, type OfferedChallenge, type OrderResource } from "./session.ts";

export interface OrderOptions {
  readonly hostname: string;
  readonly directory: string;
  /** URL of the account. */
  readonly account: string;
  readonly replaces: string | null;
  readonly profile: string | null;
  readonly key: KeyKind;
  readonly fence: Fence;
  readonly signal: AbortSignal;
  readonly session: AcmeSession;
  /** In the order in which the types are tried. */
  readonly publishers: ReadonlyMap<ChallengeType, ChallengePublisher>;
  readonly sealer: Sealer;
  readonly records: OrderRecords;
  readonly log: Logger;
  readonly now: () => number;
  /** Multiplies pauses. */
  readonly pace: number;
}

/** CAs end a pending order after a week or so; what has lain about for longer than this is not worth asking about. */
const RESUMED_WITHIN_MS = 24 * 3_600_000;
/** From telling the CA to look to its verdict; it looks several times, from several places. */
const VALIDATION_MS = 120_000;
/** After what nobody asks for a challenge any more, if it is not withdrawn. */
const CHALLENGE_MS = 15 * 60_000;
/** What a CA says to an order that replaces what it does not know (RFC 9773, section 5). */
const IRREPLACEABLE: ReadonlySet<string> = new Set(["alreadyReplaced", "malformed", "unauthorized", "unsupportedIdentifier"]);

export class Order {
  readonly #options: OrderOptions;
  /** What the store has. */
  #record: OrderRecord | null = null;
  /** Is the order, or its record, another run's? Then it may be of no use any more. */
  #isInherited = false;
  /** Types that the CA offers, as far as they can be answered here. What is decided no longer lists all of them (RFC 8555, section 7.1.4). */
  #types: readonly ChallengeType[];
  readonly #patience: Patience;
  #published: { readonly publisher: ChallengePublisher; readonly challenge: Challenge } | null = null;

  constructor(options: OrderOptions) {
    this.#options = options;
    const { hostname, publishers, session, signal, pace } = options;
    this.#patience = new Patience({ askedPauseMs: () => session.retryAfterMs, signal, pace });
    this.#types = [...publishers.keys()].filter((type) => type === "dns-01" || !hostname.startsWith("*."));
  }

  /** To be called once. Throws as `AcmeIssuer.issue` does. */
  async run(): Promise<IssuedByAcme> {
    this.#assertProvable();
    try {
      return await this.#carryOn((await this.#inherited()) ?? (await this.#begin([])));
    } finally {
      await this.#withdraw();
    }
  }

  async #carryOn(begun: OrderRecord): Promise<IssuedByAcme> {
    let record = begun;
    for (;;) {
      const order = await this.#look(record);
      record = this.#record ?? record;
      if (order.status === "valid") return await this.#download(order, record);
      if (order.status === "pending") record = await this.#prove(order, record);
      else if (order.status === "invalid") record = await this.#afterEnd(order, record);
      else if (order.status === "processing" || !(await this.#finalize(order, record))) await this.#patience.pause();
    }
  }

  #assertProvable(): void {
    const { hostname, publishers } = this.#options;
    if (publishers.size === 0) throw refused("no type of challenge can be answered here; see tls.acme.challenges");
    if (this.#types.length === 0) {
      throw refused(`"${hostname}" can only be proved by dns-01, which is not among tls.acme.challenges or has nobody to set its records`);
    }
  }

  async #inherited(): Promise<OrderRecord | null> {
    const { hostname, directory, account, replaces, records, now, log } = this.#options;
    const record = await records.read(hostname);
    if (record === null || record.directory !== directory || record.account !== account) return null;
    // Who asks for no replacement is content with one.
    if (replaces !== null && record.replaces !== replaces) return null;
    if (now() - record.startedAtMs > RESUMED_WITHIN_MS) return null;
    this.#isInherited = true;
    this.#record = record;
    log.info({ hostname, order: record.url, challenge: record.challenge }, "going on with an order that was begun before");
    return record;
  }

  async #begin(failed: readonly FailedChallenge[]): Promise<OrderRecord> {
    const { hostname, directory, account, replaces, key, sealer, now } = this.#options;
    this.#isInherited = false;
    const sealed = sealer.seal(orderKey(hostname), await generateKeyPem(key));
    const rest = { url: null, challenge: null, failed: [...failed] };
    return await this.#save({ directory, account, replaces, startedAtMs: now(), key: sealed, ...rest });
  }

  async #save(record: OrderRecord): Promise<OrderRecord> {
    const { hostname, records, fence } = this.#options;
    await records.write(hostname, record, fence);
    this.#record = record;
    return record;
  }

  /** The order as the CA has it now; placed if it is not yet. */
  async #look(record: OrderRecord): Promise<OrderResource> {
    const { session, hostname } = this.#options;
    const { url } = record;
    if (url === null) return await this.#place(record);
    try {
      return await this.#patience.ask(() => session.order(url, hostname));
    } catch (error) {
      if (!this.#isInherited || acmeProblemOf(error)?.kind !== "refused") throw error;
      return await this.#place(await this.#begin([]));
    }
  }

  async #place(record: OrderRecord): Promise<OrderResource> {
    // The node before may have been ended between the CA's answer and the store's.
    const order = (this.#isInherited ? await this.#lost() : null) ?? (await this.#new());
    await this.#save({ ...record, url: order.url });
    return order;
  }

  async #lost(): Promise<OrderResource | null> {
    const { session, hostname, signal, log } = this.#options;
    try {
      return await session.findOrder(hostname);
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug({ hostname, err: error }, "the authority has no list of orders that could be read");
      return null;
    }
  }

  async #new(): Promise<OrderResource> {
    const { session, hostname, replaces, profile, log } = this.#options;
    try {
      return await session.newOrder(hostname, { replaces, profile });
    } catch (error) {
      if (replaces === null || !IRREPLACEABLE.has(acmeProblemOf(error)?.type ?? "")) throw error;
      log.info({ hostname, err: error }, "the authority does not take the order for a renewal, so it is made as a new one");
      return await session.newOrder(hostname, { replaces: null, profile });
    }
  }

  /** Has the name validated, in one way. */
  async #prove(order: OrderResource, record: OrderRecord): Promise<OrderRecord> {
    const { session, publishers, hostname, fence, signal, log } = this.#options;
    const authorization = await this.#patience.ask(() => session.authorization(order));
    if (identifierOf(hostname) !== authorization.identifier.value.toLowerCase())
      throw unavailable("the authority wants another name proved");
    if (authorization.status === "valid") {
      await this.#patience.pause();
      return record;
    }
    if (authorization.status !== "pending") return await this.#afterFailure(authorization, record);
    const { type, offered } = await this.#choose(authorization, record);
    const trying = await this.#save({ ...record, challenge: type });
    const publisher = publishers.get(type)!;
    const challenge = await this.#challenge(type, offered);
    await this.#withdraw();
    this.#published = { publisher, challenge };
    try {
      await publisher.publish(challenge, fence, signal);
    } catch (error) {
      if (signal.aborted || (error instanceof ProxyError && isOurs(error))) throw error;
      const reason = error instanceof Error ? error.message : "it could not be published";
      log.warn({ hostname, challenge: type, err: error }, "a challenge could not be published");
      return await this.#save({ ...trying, challenge: null, failed: [...record.failed, { type, reason, isSeen: false }] });
    }
    if (offered.status === "pending") await this.#respond(order, offered);
    const decided = await this.#decided(order);
    return decided.status === "valid" ? trying : await this.#afterFailure(decided, trying);
  }

  /** Not before the order is over: asked to look by two nodes, the CA may look once more after it has decided. */
  async #withdraw(): Promise<void> {
    const { hostname, fence, log } = this.#options;
    if (this.#published === null) return;
    const { publisher, challenge } = this.#published;
    this.#published = null;
    try {
      await publisher.withdraw(challenge, fence);
    } catch (error) {
      // What cannot be withdrawn ends by its time.
      log.debug({ hostname, err: error }, "a challenge was not withdrawn");
    }
  }

  /** Has the CA validate; the node before may have asked for it, and then the CA can have decided since it was looked at. */
  async #respond(order: OrderResource, offered: OfferedChallenge): Promise<void> {
    const { session } = this.#options;
    try {
      await session.respond(offered);
    } catch (error) {
      if (acmeProblemOf(error)?.kind !== "refused") throw error;
      const { challenges } = await this.#patience.ask(() => session.authorization(order));
      if (challenges.find(({ url }) => url === offered.url)?.status === "pending") throw error;
    }
  }

  /** What the node before was trying, otherwise the first type that is left. */
  async #choose(
    authorization: Authorization,
    record: OrderRecord,
  ): Promise<{ readonly type: ChallengeType; readonly offered: OfferedChallenge }> {
    const isOffered = (type: ChallengeType): boolean =>
      authorization.challenges.some((one) => one.type === type && one.token !== undefined);
    this.#types = this.#types.filter(isOffered);
    const left = this.#left(record.failed);
    const type = left.find((one) => one === record.challenge) ?? left[0];
    const offered = authorization.challenges.find((one) => one.type === type);
    if (type === undefined || offered === undefined) throw await this.#givenUp(authorization, record.failed);
    return { type, offered };
  }

  #left(failed: readonly FailedChallenge[]): ChallengeType[] {
    return this.#types.filter((type) => !failed.some((one) => one.type === type));
  }

  async #challenge(type: ChallengeType, { token = "" }: OfferedChallenge): Promise<Challenge> {
    const { session, hostname, now } = this.#options;
    const keyAuthorization = await session.keyAuthorization(token);
    return { type, name: identifierOf(hostname), token, keyAuthorization, expiresAtMs: now() + CHALLENGE_MS };
  }

  async #decided(order: OrderResource): Promise<Authorization> {
    const endMs = performance.now() + VALIDATION_MS;
    this.#patience.renew();
    while (performance.now() < endMs) {
      await this.#patience.pause();
      const authorization = await this.#patience.ask(() => this.#options.session.authorization(order));
      if (authorization.status !== "pending") return authorization;
    }
    throw unavailable(`the authority has not decided about the challenge within ${VALIDATION_MS / 1000} s`);
  }

  /** A failed authorization takes its order with it: what is left to try needs a new one. */
  async #afterFailure(authorization: Authorization, record: OrderRecord): Promise<OrderRecord> {
    const { hostname, log } = this.#options;
    const challenge = authorization.challenges.find(({ status }) => status === "invalid");
    const type = record.challenge ?? this.#types.find((one) => one === challenge?.type);
    // It has expired, or was deactivated: nobody looked for a proof of ours.
    if (challenge === undefined || type === undefined || record.failed.some((one) => one.type === type)) {
      if (this.#isInherited) return await this.#begin(record.failed);
      await this.#forget();
      throw refused(`the authority has ended the authorization of "${hostname}": it is ${authorization.status}`);
    }
    const { message } = failureIn(challenge);
    const failed = [...record.failed, { type, reason: message, isSeen: true }];
    log.warn({ hostname, challenge: type, reason: message }, "the authority did not accept a challenge");
    if (this.#left(failed).length === 0) throw await this.#givenUp(authorization, failed);
    // The key was never used: a new order may have it.
    this.#isInherited = false;
    return await this.#save({ ...record, url: null, challenge: null, failed });
  }

  async #givenUp({ challenges }: Authorization, failed: readonly FailedChallenge[]): Promise<ProxyError> {
    const { hostname, publishers } = this.#options;
    await this.#forget();
    const validations = failed.filter(({ isSeen }) => isSeen).length;
    if (failed.length === 0) {
      const offers = challenges.map(({ type }) => type).join(", ");
      return refused(`the authority offers ${offers} for "${hostname}", and here is ${[...publishers.keys()].join(", ")}`);
    }
    return refused(`"${hostname}" was not validated: ${failed.map(({ type, reason }) => `${type}: ${reason}`).join("; ")}`, validations);
  }

  /** The CA has ended the order. */
  async #afterEnd(order: OrderResource, record: OrderRecord): Promise<OrderRecord> {
    const { session, hostname } = this.#options;
    const authorization = await this.#patience.ask(() => session.authorization(order));
    if (authorization.status !== "valid" && authorization.status !== "pending") return await this.#afterFailure(authorization, record);
    if (this.#isInherited) return await this.#begin(record.failed);
    await this.#forget();
    const problem = failureIn(order);
    throw unavailable(`the authority has ended the order for "${hostname}": ${problem.message}`, problem);
  }

  /** Is the certificate there already? */
  async #finalize(order: OrderResource, record: OrderRecord): Promise<boolean> {
    const { session, hostname } = this.#options;
    const request = await createRequest(hostname, this.#open(record));
    this.#patience.renew();
    try {
      return (await session.finalize(order, request, hostname)).status === "valid";
    } catch (error) {
      const problem = acmeProblemOf(error);
      // Done already, by the node before perhaps; the next look tells.
      if (problem?.type === "orderNotReady") return false;
      if (problem?.kind === "refused") await this.#forget();
      throw error;
    }
  }

  async #download(order: OrderResource, record: OrderRecord): Promise<IssuedByAcme> {
    const { session, hostname, directory, now } = this.#options;
    const privateKeyPem = this.#open(record);
    const chainPem = await this.#patience
      .ask(() => session.certificate(order))
      .catch(async (error: unknown) => {
        if (acmeProblemOf(error)?.kind === "refused") await this.#forget();
        throw error;
      });
    try {
      return { hostname, privateKeyPem, directory, challenge: record.challenge, ...checkChain(chainPem, hostname, privateKeyPem, now()) };
    } catch (error) {
      await this.#forget();
      throw error;
    }
  }

  #open(record: OrderRecord): string {
    return this.#options.sealer.open(orderKey(this.#options.hostname), record.key);
  }

  /** The order is dead: the next run makes a new one. */
  async #forget(): Promise<void> {
    const { hostname, records, fence } = this.#options;
    this.#record = null;
    await records.remove(hostname, fence);
  }
}

/** How often a CA looked for a proof in vain until an order failed: it counts that. */
export function failedValidations(error: unknown): number {
  return acmeProblemOf(error)?.validations ?? 0;
}

/** What the CA validates: for a wildcard the name that it is below. */
function identifierOf(hostname: string): string {
  return hostname.startsWith("*.") ? hostname.slice(2) : hostname;
}

function refused(message: string, validations = 0): ProxyError {
  return unavailable(message, new AcmeProblem(message, { type: "", status: 0, retryAtMs: null, validations }));
}
