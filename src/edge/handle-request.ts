// Hot path. What happens to a request, in this order; start reading here. The steps are in: routing/router.ts (which app and service),
// edge/attempts.ts (a place on a machine by routing/balancer.ts, or wake/gate.ts if all are asleep or full), upstream/forward.ts (one
// attempt) and edge/respond.ts (any failure). The gate comes after every refusal, so that a scanner makes nobody pay for a start.

import type { Logger } from "pino";
import { FIELD } from "../http/field-names.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { AddressSet } from "../core/address-set.ts";
import type { ClientAuth, Hsts } from "../core/app.ts";
import type { ErrorCode, ProxyError } from "../core/errors.ts";
import type { Deadlines } from "../core/deadlines.ts";
import { MicrosecondText } from "../core/microsecond-text.ts";
import type { RequestIds } from "../core/request-id.ts";
import type { Outliers } from "../health/outliers.ts";
import type { Router } from "../routing/router.ts";
import { forward, type ClientFacts } from "../upstream/forward.ts";
import { isRetryable } from "../upstream/retryable.ts";
import { assign, isKeptOut, isTooLong } from "./admission.ts";
import type { Asleep } from "./asleep.ts";
import type { Attempts } from "./attempts.ts";
import { bind, cookiesOf } from "./bind.ts";
import { challengeToken, type ChallengeAnswers } from "./challenge-answers.ts";
import type { ClientChannel, OwnField } from "./client-channel.ts";
import type { Compressors } from "./compressor.ts";
import type { Sender } from "./client-connection.ts";
import type { EdgeApp, EdgeMachine, EdgeService } from "./edge-app.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeDriver } from "./exchange-driver.ts";
import { forwardedClient } from "./forwarded-client.ts";
import { hstsValue } from "./hsts.ts";
import { canBeHeld } from "./kept-body.ts";
import type { KeptBodies } from "./kept-body.ts";
import { httpsLocation, type HttpsPorts } from "./redirects.ts";
import { RememberedReplays } from "./remembered-replays.ts";
import { ReplayCache } from "./replay-cache.ts";
import { Replays } from "./replays.ts";
import { FOR_NOW, respondWithError } from "./respond.ts";
import { Steered } from "./steered.ts";
import { type Wish, wishOf } from "./steering.ts";

export interface RequestHandlerOptions {
  readonly asleep: Asleep;
  readonly router: Router<EdgeService, EdgeApp>;
  readonly attempts: Attempts;
  readonly outliers: Outliers<EdgeService, EdgeMachine>;
  readonly ids: RequestIds;
  readonly deadlines: Deadlines;
  readonly challenges: ChallengeAnswers;
  /** Proxies in front whose word on their clients is taken. */
  readonly trustedProxies: AddressSet;
  readonly isDraining: () => boolean;
  /** The machine takes no more requests: it is about to sleep, or to end. */
  readonly isLeaving: (machine: EdgeMachine) => boolean;
  /** How long a request may take in all; 0: for ever. */
  readonly totalMs: number;
  /** Longest body that is taken whole before a machine is looked for. */
  readonly heldBodyBytes: number;
  readonly keptBodies: KeptBodies;
  readonly compressors: Compressors;
  /** Replays that are remembered, by path and by session each. */
  readonly replayCacheEntries: number;
  readonly log: Logger;
  readonly httpsPorts: () => HttpsPorts;
  /** Since when a host name is served with a certificate that browsers trust, in milliseconds since the epoch; null: it is not. */
  readonly trustedSince: (hostname: string) => number | null;
  /** The machine is not to sleep for so many seconds, whatever its load. */
  readonly onBusyWord: (machine: EdgeMachine, seconds: number) => void;
  readonly onDone: (exchange: Exchange) => void;
  /** A request that could not be read as one. */
  readonly onUnreadable: (sender: Sender, code: ErrorCode, requestId: string) => void;
}

/** Reading it each time costs as much as the clock. */
const TIME_ORIGIN_MS = performance.timeOrigin;
const DOT = 0x2e;
/** Of an answer to a challenge (RFC 8555 section 8.3). */
const CHALLENGE_FIELDS: readonly OwnField[] = [["content-type", "application/octet-stream"], ...FOR_NOW];

export class RequestHandler implements ExchangeDriver {
  readonly asleep: Asleep;
  readonly attempts: Attempts;
  readonly replays: Replays;
  readonly compressors: Compressors;
  readonly deadlines: Deadlines;
  readonly totalMs: number;
  readonly heldBodyBytes: number;
  readonly keptBodies: KeptBodies;
  readonly #options: RequestHandlerOptions;
  readonly #microseconds = new MicrosecondText();
  readonly #webSockets = new Set<Exchange>();

  constructor(options: RequestHandlerOptions) {
    this.#options = options;
    this.asleep = options.asleep;
    this.attempts = options.attempts;
    const { router, attempts, deadlines, outliers } = options;
    const onAnswered = (service: EdgeService, machine: EdgeMachine): void => outliers.answered(service, machine, 200);
    const remembered = new RememberedReplays({ router, cache: new ReplayCache(deadlines, options.replayCacheEntries), log: options.log });
    this.replays = new Replays({ router, attempts, deadlines, remembered, onAnswered, now: Date.now });
    this.compressors = options.compressors;
    this.deadlines = options.deadlines;
    this.totalMs = options.totalMs;
    this.heldBodyBytes = options.heldBodyBytes;
    this.keptBodies = options.keptBodies;
  }

  /** Opens the exchange of a request; its channel begins it. */
  open(channel: ClientChannel, head: RequestHead): Exchange {
    const nowMs = performance.now();
    const startedUs = Math.round((TIME_ORIGIN_MS + nowMs) * 1000);
    const { ids } = this.#options;
    const id = ids.next(Math.floor(startedUs / 1000));
    return new Exchange(this, channel, head, id, ids.traceparent(), this.#microseconds.of(startedUs), nowMs);
  }

  onAnswer(exchange: Exchange, head: ResponseHead): void {
    if (exchange.bond !== null) exchange.cookies = cookiesOf(exchange, exchange.bond, head);
    if (head.fields.find(FIELD.kittiwakeBusy) !== -1) this.#onBusyWord(exchange, head);
    // A body that streams takes as long as its client, and errors are quick: neither says how busy the machine is.
    const wasWhole = exchange.requestBody === "none" || canBeHeld(exchange.head, this.heldBodyBytes);
    if (wasWhole && head.status < 500) this.attempts.observe(exchange, exchange.respondedMs - exchange.sentMs);
  }

  onWebSocket(exchange: Exchange): void {
    this.#webSockets.add(exchange);
    // It may be long until this is over.
    this.#options.outliers.answered(exchange.service!, exchange.lastMachine!, exchange.status);
    const { isDraining, isLeaving } = this.#options;
    if (isDraining() || (exchange.machine !== null && isLeaving(exchange.machine))) exchange.leaveTunnel();
  }

  /** Tells both ends of every WebSocket to a machine that the server goes away (reference section 2.5). */
  leaveTunnels(machineId: string): void {
    for (const exchange of this.#webSockets) {
      if (exchange.machine?.id !== machineId) continue;
      exchange.leaveTunnel();
      exchange.channel.flush();
    }
  }

  /** The fixed order, of which challenges come first; `#handleForHost` has the rest. */
  handle(exchange: Exchange): void {
    const { client } = exchange.channel;
    if (client.isTrusted) exchange.client = forwardedClient(exchange.head.fields, client, this.#options.trustedProxies);
    // One character tells nearly every other request from a validation.
    if (exchange.head.target.charCodeAt(1) === DOT && this.#answersChallenge(exchange)) return;
    this.#handleForHost(exchange);
  }

  /** A request that is not one: answered, counted and logged, never routed. */
  refuseUnread(channel: ClientChannel, code: ErrorCode): void {
    const { ids, onUnreadable } = this.#options;
    const requestId = ids.next(Date.now());
    respondWithError(channel, code, { requestId, accept: null, pages: null, retryAfterS: null }, true);
    onUnreadable(channel, code, requestId);
  }

  /** The same where the protocol leaves no way to answer. */
  reportUnread(sender: Sender, code: ErrorCode): void {
    this.#options.onUnreadable(sender, code, this.#options.ids.next(Date.now()));
  }

  onBodyHeld(exchange: Exchange): void {
    // The app may have changed since.
    exchange.service = this.attempts.current(exchange) ?? exchange.service;
    this.attempts.route(exchange);
  }

  onAttemptFailed(exchange: Exchange, error: ProxyError, wasSent: boolean, wasStale: boolean): void {
    const machine = exchange.machine;
    this.attempts.releaseClaim(exchange);
    if (wasStale) exchange.steered?.onStale();
    if (machine !== null && !wasStale) this.#options.outliers.failed(exchange.service!, machine, error.code);
    const attempt = {
      method: exchange.head.method,
      wasSent,
      canResend: exchange.canResend,
      responseStarted: exchange.responseStarted,
    };
    if (!isRetryable(error, attempt)) return exchange.refuse(error.code);
    if (wasSent) {
      if (!exchange.service!.retryBudget.take(performance.now())) return exchange.refuse(error.code);
      if (!wasStale) exchange.wasSeen = true;
    }
    this.attempts.again(exchange, error, wasStale ? null : machine);
  }

  onBackedOff(exchange: Exchange): void {
    this.#routeOn(exchange);
    exchange.channel.flush();
  }

  onGateOpen(exchange: Exchange): boolean {
    // The app may have changed while the request waited: decide on what is known now.
    const service = this.attempts.current(exchange);
    let isOver = true;
    if (service !== undefined) isOver = this.attempts.goOn(exchange, service);
    else {
      this.attempts.endWait(exchange);
      this.#routeOn(exchange);
    }
    if (isOver) exchange.channel.flush();
    return isOver;
  }

  attempt(exchange: Exchange, machine: EdgeMachine): void {
    // An Upgrade is something of HTTP/1.1, and so is what follows it.
    const http2Pool = exchange.isHttp2Backend && exchange.head.upgrade === "" ? machine.http2Pool : null;
    forward(exchange, http2Pool ?? machine.pool!);
  }

  onDone(exchange: Exchange): void {
    if (this.#webSockets.size > 0) this.#webSockets.delete(exchange);
    this.asleep.onDone(exchange);
    const { service, lastMachine, code } = exchange;
    if (exchange.respondedMs !== 0) {
      if (code === null) this.#options.outliers.answered(service!, lastMachine!, exchange.status);
      else this.#options.outliers.failed(service!, lastMachine!, code);
    }
    this.#options.onDone(exchange);
  }

  /** For how long it is busy with what the edge cannot see. */
  #onBusyWord({ machine }: Exchange, { fields }: ResponseHead): void {
    const word = fields.value(fields.find(FIELD.kittiwakeBusy));
    if (machine !== null && /^\d{1,6}$/.test(word)) this.#options.onBusyWord(machine, Number(word));
  }

  #hsts(hsts: Hsts, host: string): string | null {
    const trustedSinceMs = this.#options.trustedSince(host);
    return trustedSinceMs === null ? null : hstsValue(hsts, (Date.now() - trustedSinceMs) / 1000);
  }

  /** Whatever the host's app asks of its requests (RFC 8555 section 8.3). False: this one is like any other. */
  #answersChallenge(exchange: Exchange): boolean {
    const token = challengeToken(exchange.head);
    if (token === null) return false;
    const { challenges } = this.#options;
    const keyAuthorization = challenges.keyAuthorization(token);
    if (keyAuthorization === null) return challenges.seek("http", token, exchange.client.ip, () => this.#onSought(exchange, token));
    exchange.answer(200, CHALLENGE_FIELDS, keyAuthorization);
    return true;
  }

  #onSought(exchange: Exchange, token: string): void {
    // The client has left, or waited too long.
    if (exchange.state !== "routing") return;
    const keyAuthorization = this.#options.challenges.keyAuthorization(token);
    if (keyAuthorization === null) this.#handleForHost(exchange);
    else exchange.answer(200, CHALLENGE_FIELDS, keyAuthorization);
    exchange.channel.flush();
  }

  #handleForHost(exchange: Exchange): void {
    const { router, httpsPorts } = this.#options;
    const { head, channel } = exchange;
    const app = router.match(head.host);
    if (app === null) return exchange.refuse("unknown_host");
    const route = router.route(app, channel.client.port);
    if (route === null) return exchange.refuse("misdirected_request");
    assign(exchange, route);
    if (route.port.forceHttps && exchange.client.scheme === "http") {
      return exchange.answer(301, [["location", httpsLocation(head, httpsPorts())]]);
    }
    if (app.clientAuth !== null || channel.client.identity !== null) {
      const refusal = refusalOfIdentity(app.clientAuth, channel.client);
      if (refusal !== null) {
        channel.retire();
        return exchange.refuse(refusal);
      }
    }
    const { hosts } = channel.client;
    if (hosts !== null && !hosts.includes(head.host)) return exchange.refuse("misdirected_request");
    if (isKeptOut(exchange)) return;
    if (app.hsts !== null && channel.client.scheme === "https") exchange.hsts = this.#hsts(app.hsts, head.host);
    if (isTooLong(exchange)) return;
    const wish = head.fields.find(FIELD.flySteering) === -1 ? null : this.#steer(exchange, app);
    bind(exchange, wish);
    if (route.service.waitPage && this.asleep.opensStream(exchange)) return;
    if (app.replays.isUsed && !this.replays.recall(exchange, app, route)) return;
    route.service.retryBudget.count(exchange.startedMs);
    if (!exchange.holdsBody()) this.attempts.route(exchange);
  }

  #steer(exchange: Exchange, app: EdgeApp): Wish | null {
    const { head } = exchange;
    if (app.steering === "trusted" && !this.#options.trustedProxies.has(exchange.client.ip)) return null;
    const wish = wishOf(head.fields);
    exchange.aim = wish.aim;
    if (wish.preferred !== null) {
      exchange.steered = new Steered();
      exchange.steered.preferred = wish.preferred;
    }
    return wish;
  }

  /** To its service as it is after a wait; if that is gone, another one may have its public port now. */
  #routeOn(exchange: Exchange): void {
    const service = this.attempts.current(exchange);
    if (service !== undefined) {
      exchange.service = service;
      return this.attempts.route(exchange);
    }
    const app = this.#options.router.app(exchange.service!.app);
    const route = app === undefined ? null : this.#options.router.route(app, exchange.channel.client.port);
    if (route === null) return exchange.refuse("no_machine");
    assign(exchange, route);
    exchange.tried = null;
    this.attempts.route(exchange);
  }
}

/**
 * A connection that was made for one name may carry requests for others, whose apps have other rules for the certificates of clients: they
 * take another one (RFC 9110 section 15.5.20). The same goes for connections from before the rules changed.
 */
function refusalOfIdentity(clientAuth: ClientAuth | null, { scheme, identity }: ClientFacts): ErrorCode | null {
  // Without TLS nobody can be asked for one.
  if (scheme === "http") return clientAuth?.mode === "required" ? "client_certificate_required" : null;
  return clientAuth?.id === identity?.rules.id ? null : "misdirected_request";
}
