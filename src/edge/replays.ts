// A machine answers with `fly-replay`: its response is swallowed, and the request makes another attempt, differently aimed. What cannot be
// reached falls back to where the order came from, if that was asked for. Reference sections 4.1 to 4.3.
//
//     order ──► swallowing ──► seeking ──► reached             an error ends it anywhere
//                                 └──► fallback ──► reached

import type { Aim } from "../core/aim.ts";
import type { ErrorCode } from "../core/errors.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { ResponseHead } from "../http/message.ts";
import { aimAnywhere, aimAtMachine } from "../routing/aim.ts";
import type { Route, Router } from "../routing/router.ts";
import type { Deadlines } from "../core/deadlines.ts";
import { assign, isKeptOut, isTooLong } from "./admission.ts";
import type { Attempts } from "./attempts.ts";
import { bind } from "./bind.ts";
import { identityAt } from "./client-certificate.ts";
import { cacheOrderOf } from "./cache-order.ts";
import type { EdgeApp, EdgeMachine, EdgeService } from "./edge-app.ts";
import type { Exchange } from "./exchange.ts";
import { IdleWatch } from "./idle-watch.ts";
import { asksToSkip, type RememberedReplays } from "./remembered-replays.ts";
import { parseReplayDocument } from "./replay-document.ts";
import { aimOf, parseReplay, type ReplayOrder } from "./replay-order.ts";
import { hasNoCoding, isReplayDocument } from "./replay-response.ts";
import { transformed } from "./replay-transform.ts";
import { Steered, type Recalled, type Replay } from "./steered.ts";
import { SwallowedBody } from "./swallowed-body.ts";

/** Answers with `fly-replay` to one request. */
const MOST_HOPS = 10;

/** Why a target was not reached, as far as `fly-replay-failed` tells; another error is no failure of the target's. */
const REASONS: Partial<Record<ErrorCode, "timeout" | "retries_exhausted" | "no_candidate">> = {
  replay_timeout: "timeout",
  wake_timeout: "timeout",
  no_machine: "no_candidate",
  no_healthy_machine: "no_candidate",
  at_capacity: "no_candidate",
  queue_full: "no_candidate",
  wake_failed: "retries_exhausted",
  connect_refused: "retries_exhausted",
  connect_timeout: "retries_exhausted",
  connect_failed: "retries_exhausted",
  attempts_exhausted: "retries_exhausted",
};

export interface ReplaysOptions {
  readonly router: Router<EdgeService, EdgeApp>;
  readonly attempts: Attempts;
  readonly deadlines: Deadlines;
  readonly remembered: RememberedReplays;
  /** The machine has answered, if only with an order. */
  readonly onAnswered: (service: EdgeService, machine: EdgeMachine) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Where a replay leads. */
interface Way {
  readonly app: EdgeApp;
  readonly route: Route<EdgeService>;
}

export class Replays {
  readonly #options: ReplaysOptions;

  constructor(options: ReplaysOptions) {
    this.#options = options;
  }

  /**
   * For an app that has replays remembered: the request goes where one like it was sent before, if there is such a thing, as long as it
   * passes the rules of the app there. False: it does not.
   */
  recall(exchange: Exchange, app: EdgeApp, route: Route<EdgeService>): boolean {
    const { remembered } = this.#options;
    const entry = remembered.find(exchange.head, app, route);
    if (entry === null) return true;
    const steered = (exchange.steered ??= new Steered());
    steered.skipsCache = entry.allowBypass && asksToSkip(exchange.head);
    if (steered.skipsCache) return true;
    const way = this.#wayTo(exchange, entry.app);
    if (way === null) {
      remembered.forget(entry);
      return true;
    }
    steered.apps.push(app.name);
    if (!this.#enters(exchange, way)) return false;
    route.service.traffic.replaysRecalled++;
    steered.recalled = { entry, app: app.name, aim: exchange.aim, bond: exchange.bond };
    steered.isSeeking = true;
    aimBy(exchange, entry.aim);
    return true;
  }

  /** A response that may ask for a replay (`mayAskForReplay`). True: it does, and the client gets nothing of it. */
  begin(exchange: Exchange, head: ResponseHead): boolean {
    const value = head.status === 101 ? null : joinedValue(head.fields, "fly-replay");
    const isDocument = value === null && head.status !== 101 && isReplayDocument(head.fields);
    if (value === null && !isDocument) return false;
    const steered = (exchange.steered ??= new Steered());
    const { service, machine } = exchange;
    const refusal = this.#refusal(exchange, steered);
    this.#options.onAnswered(service!, machine!);
    machine!.traffic.countResponse(head.status, (performance.now() - exchange.sentMs) / 1000);
    if (isDocument && refusal === null && hasNoCoding(head.fields)) {
      const isKept = true;
      const body = new SwallowedBody({ isKept, onOver: (isWhole) => this.#onDocument(exchange, isWhole ? body.bytes : null) });
      exchange.swallowed = body;
      return true;
    }
    if (!this.#accepts(exchange, steered, value === null ? null : parseReplay(value, cacheOrderOf(head.fields)))) return true;
    // A connection on which the request has not ended carries no other one.
    if (head.body === "until_close" || !exchange.hasWholeRequest) this.#seek(exchange, steered.replay!);
    else exchange.swallowed = new SwallowedBody({ isKept: false, onOver: () => this.#onSwallowed(exchange) });
    return true;
  }

  /** The request is about to be refused. True: it goes back instead to where its replay was asked for. */
  fallsBack(exchange: Exchange, steered: Steered, code: ErrorCode): boolean {
    const { replay, isSeeking, recalled } = steered;
    const reason = REASONS[code];
    if (!isSeeking || reason === undefined) return false;
    if (recalled !== null) return this.#asksAnew(exchange, steered, recalled);
    if (replay === null || replay.order.fallback === null) return false;
    steered.onReached();
    const way = this.#wayTo(exchange, replay.app);
    if (way === null) return false;
    steered.failed = failureOf(replay, reason);
    steered.head = replay.head;
    const orElse = replay.order.fallback === "prefer_self" ? aimAnywhere() : null;
    exchange.abandonAttempt();
    if (!this.#enters(exchange, way)) return true;
    // The app may be another one than it was sought in.
    bind(exchange, null);
    exchange.aim = aimAtMachine(replay.machine.id, null, orElse);
    this.#options.attempts.route(exchange);
    return true;
  }

  /** What was remembered leads nowhere: as if it had not been. False: its own app is not here any more either. */
  #asksAnew(exchange: Exchange, steered: Steered, { entry, app, aim, bond }: Recalled): boolean {
    this.#options.remembered.forget(entry);
    steered.onReached();
    steered.recalled = null;
    const way = this.#wayTo(exchange, app);
    if (way === null) return false;
    exchange.abandonAttempt();
    if (!this.#enters(exchange, way)) return true;
    exchange.aim = aim;
    exchange.bond = bond;
    this.#options.attempts.route(exchange);
    return true;
  }

  /** @param order null: it is malformed */
  #accepts(exchange: Exchange, steered: Steered, order: ReplayOrder | null): boolean {
    const refusal = this.#refusal(exchange, steered);
    if (order === null || refusal !== null) {
      exchange.abandonAttempt();
      exchange.refuse(refusal ?? "replay_malformed");
      return false;
    }
    this.#options.remembered.learn(exchange, order);
    steered.recalled = null;
    if (steered.hops++ === 0) steered.apps.push(exchange.service!.app);
    steered.replay = {
      order,
      machine: exchange.machine!,
      app: exchange.service!.app,
      head: steered.head,
      startedMs: performance.now(),
      timeUs: Math.round(this.#options.now() * 1000),
    };
    return true;
  }

  /** @param bytes null: they have not come whole */
  #onDocument(exchange: Exchange, bytes: Buffer | null): void {
    const order = bytes === null ? null : parseReplayDocument(bytes);
    if (this.#accepts(exchange, exchange.steered!, order)) this.#onSwallowed(exchange);
    else exchange.channel.flush();
  }

  #onSwallowed(exchange: Exchange): void {
    this.#seek(exchange, exchange.steered!.replay!);
    exchange.channel.flush();
  }

  #refusal(exchange: Exchange, { hops, failed }: Steered): ErrorCode | null {
    if (hops >= MOST_HOPS || failed !== null) return "replay_loop";
    return exchange.canResend ? null : "replay_body_lost";
  }

  #seek(exchange: Exchange, replay: Replay): void {
    exchange.abandonAttempt();
    const { order, machine } = replay;
    const { deadlines, attempts } = this.#options;
    const way = this.#wayTo(exchange, order.app ?? replay.app);
    if (way === null) return exchange.refuse("replay_target_not_found");
    if (!this.#enters(exchange, way)) return;
    const steered = exchange.steered!;
    steered.isSeeking = true;
    if (order.timeoutMs !== null) steered.patience = new IdleWatch(deadlines, order.timeoutMs, () => this.#onTimeout(exchange));
    if (order.transform !== null) steered.head = transformed(exchange.sentHead, order.transform);
    aimBy(exchange, aimOf(order, machine.id));
    attempts.route(exchange);
  }

  /** On the public port that the client came to; null where the app is not here, or has nothing there. */
  #wayTo({ channel }: Exchange, name: string): Way | null {
    const { router } = this.#options;
    const app = router.app(name);
    const route = app === undefined ? null : router.route(app, channel.client.port);
    return route === null ? null : { app: app!, route };
  }

  /**
   * The fixed order, as far as it is the target's: its rules hold for the client, whoever sent it. Those of the host name are of the app that the
   * client asked: force_https, HSTS, and which hosts its connection is for. False: refused.
   */
  #enters(exchange: Exchange, { app, route }: Way): boolean {
    assign(exchange, route);
    exchange.tried = null;
    exchange.code = null;
    // Whoever saw it has handed it on.
    exchange.wasSeen = false;
    exchange.backOff = null;
    const identity = identityAt(app.clientAuth, exchange.channel.client);
    if (identity === undefined) {
      exchange.refuse("client_certificate_required");
      return false;
    }
    if (exchange.client.identity !== identity) exchange.client = { ...exchange.client, identity };
    const { apps } = exchange.steered!;
    // One request of a client's takes one of what each app allows its address.
    if (!apps.includes(app.name)) {
      if (isKeptOut(exchange)) return false;
      apps.push(app.name);
      route.service.retryBudget.count(performance.now());
    }
    return !isTooLong(exchange);
  }

  #onTimeout(exchange: Exchange): void {
    exchange.abandonAttempt();
    exchange.refuse("replay_timeout");
    exchange.channel.flush();
  }
}

/** @param aim what was asked for; null: the app was named and no more, so that what writes is for its primary region */
function aimBy(exchange: Exchange, aim: Aim | null): void {
  exchange.aim = aim;
  if (aim === null) bind(exchange, null);
}

function failureOf({ order, machine, app, startedMs }: Replay, reason: string): string {
  const { instance, preferInstance, regions } = order;
  const target = [
    ["instance", instance ?? preferInstance],
    ["app", order.app ?? app],
    ["region", regions?.join(",") ?? null],
  ];
  const asked = target.filter(([, value]) => value !== null).map(([name, value]) => `${name}=${value};`);
  return `${asked.join("")}replay_source=${machine.id};reason=${reason};elapsed_ms=${Math.round(performance.now() - startedMs)}`;
}
