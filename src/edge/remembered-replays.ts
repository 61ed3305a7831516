// Which replays are remembered, and for which requests: by the path of a host, as machines ask for it, or by session, as the app's
// configuration does. Only the app that a host belongs to has a say in what becomes of its requests. Reference sections 4.5 and 4.6.

import type { Logger } from "pino";
import type { SessionRule } from "../core/app.ts";
import { isInScope, parsePathScope, scopePaths } from "../core/path-scope.ts";
import { cookieValues } from "../http/cookies.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { Fields, RequestHead } from "../http/message.ts";
import type { Route, Router } from "../routing/router.ts";
import type { EdgeApp, EdgeService } from "./edge-app.ts";
import type { Exchange } from "./exchange.ts";
import type { Remembered, ReplayCache } from "./replay-cache.ts";
import { aimOf, type ReplayOrder } from "./replay-order.ts";

const LEAST_TTL_S = 10;
/** A year. */
const MOST_TTL_S = 31_536_000;
/** That orders of an app cannot be remembered is said at most this often for each reason. */
const LOG_MS = 60_000;

const UNFIT = {
  ttl: `its time is missing or below ${LEAST_TTL_S} seconds`,
  scope: "the host and path that it names are not those of the request, or cannot be read",
  order: "it has a state, a transform, a timeout or a fallback",
  app: "it comes from another app than the one that the host belongs to",
} as const;

export interface RememberedReplaysOptions {
  readonly router: Router<EdgeService, EdgeApp>;
  readonly cache: ReplayCache;
  readonly log: Logger;
}

export class RememberedReplays {
  readonly #options: RememberedReplaysOptions;
  /** By app and reason. */
  readonly #loggedMs = new Map<string, number>();

  constructor(options: RememberedReplaysOptions) {
    this.#options = options;
  }

  /** What is remembered for a request to the app: that of its session before that of its path. null: nothing. */
  find(head: RequestHead, app: EdgeApp, { service, port }: Route<EdgeService>): Remembered | null {
    const { cache } = this.#options;
    const paths = scopePaths(head.target);
    const session = this.#session(head, paths, service, port.sessions);
    const found = session === null ? null : cache.find(app.replays, "session", session.key);
    if (found !== null || app.replays.paths === 0) return found;
    for (const path of paths) {
      const byPath = cache.find(app.replays, "path", pathKey(service, head.host, path));
      if (byPath !== null) return byPath;
    }
    return null;
  }

  forget(entry: Remembered): void {
    this.#options.cache.forget(entry);
  }

  /** The machine that has the request asks for a replay: what that says about requests to come. */
  learn(exchange: Exchange, order: ReplayOrder): void {
    const { head, service, channel, machine } = exchange;
    const { router, cache } = this.#options;
    const app = router.match(head.host);
    const route = app === null ? null : router.route(app, channel.client.port);
    if (app === null || route === null || (order.cache === null && !app.replays.hasSessions)) return;
    if (order.cache?.invalidate === true) {
      if ((order.app ?? service!.app) === app.name) this.#invalidate(exchange, app, route);
      return;
    }
    // The host may lead elsewhere by now.
    const isOwn = service!.app === app.name && service!.key === route.service.key;
    const place = isOwn ? this.#placeOf(head, route, order) : order.cache === null ? null : "app";
    if (place === null) return;
    const unfit = typeof place === "string" ? place : isLasting(order, exchange) ? null : "order";
    if (unfit !== null) return this.#report(app.name, unfit);
    const { kind, key, ttlMs, allowBypass } = place as Place;
    route.service.traffic.replaysRemembered++;
    cache.set({ owner: app.replays, kind, key, app: order.app ?? app.name, aim: aimOf(order, machine!.id), allowBypass }, ttlMs);
  }

  /** What it was remembered for, and if that is nothing, what else would have been. */
  #invalidate({ head, steered }: Exchange, app: EdgeApp, route: Route<EdgeService>): void {
    const entry = steered?.recalled?.entry ?? this.find(head, app, route);
    if (entry !== null) this.#options.cache.forget(entry);
  }

  /** null: nothing asks for it to be remembered. */
  #placeOf(head: RequestHead, { service, port }: Route<EdgeService>, { cache }: ReplayOrder): Place | keyof typeof UNFIT | null {
    const paths = scopePaths(head.target);
    if (cache === null) return this.#session(head, paths, service, port.sessions);
    const { ttlS, prefix, allowBypass } = cache;
    if (ttlS === null || ttlS < LEAST_TTL_S) return "ttl";
    const scope = prefix === null ? null : parsePathScope(prefix);
    if (scope === null || !isInScope(scope, head.host, paths)) return "scope";
    return { kind: "path", key: pathKey(service, head.host, scope.path), ttlMs: Math.min(ttlS, MOST_TTL_S) * 1000, allowBypass };
  }

  #session(head: RequestHead, paths: readonly string[], service: EdgeService, rules: readonly SessionRule[] | null): Place | null {
    const rule = rules?.find(({ scope }) => isInScope(scope, head.host, paths));
    if (rule === undefined) return null;
    const { scope, type, name, ttlMs, allowBypass } = rule;
    const value = type === "cookie" ? cookieOf(head.fields, name) : joinedValue(head.fields, name);
    if (!value) return null;
    const key = this.#options.cache.sessionKey([service.app, service.key, head.host, scope.host ?? "*", scope.path, type, name, value]);
    return { kind: "session", key, ttlMs, allowBypass };
  }

  #report(app: string, reason: keyof typeof UNFIT): void {
    const nowMs = performance.now();
    const name = `${app} ${reason}`;
    if (nowMs - (this.#loggedMs.get(name) ?? -Infinity) < LOG_MS) return;
    this.#loggedMs.set(name, nowMs);
    this.#options.log.warn({ app, reason }, `a replay is made but not remembered: ${UNFIT[reason]}`);
  }
}

/** Where an entry is to be, and for how long. */
interface Place {
  readonly kind: Remembered["kind"];
  readonly key: string;
  readonly ttlMs: number;
  readonly allowBypass: boolean;
}

/** Does a request ask not to be sent by what is remembered? */
export function asksToSkip({ fields }: RequestHead): boolean {
  return joinedValue(fields, "fly-replay-cache-control")?.toLowerCase() === "skip";
}

/** Is it the same order for every request? One that another machine has changed may have been sent elsewhere for that. */
function isLasting({ state, timeoutMs, fallback, transform }: ReplayOrder, { steered }: Exchange): boolean {
  return state === null && timeoutMs === null && fallback === null && transform === null && steered!.head === null;
}

/** Of the first with this name, without the quotes that it may stand in (RFC 6265 section 4.1.1); null: there is none. */
function cookieOf(fields: Fields, name: string): string | null {
  const [value] = cookieValues(fields, name, 1);
  return value === undefined ? null : value.replace(/^"(.*)"$/, "$1");
}

/** Nothing in it has a space. */
function pathKey({ app, key }: EdgeService, host: string, path: string): string {
  return `${app} ${key} ${host} ${path}`;
}
