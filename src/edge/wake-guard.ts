// What does not wake an app that sleeps: requests that the edge can answer itself, and clients that have woken it too often. Asked only when a
// wake would begin. The counts are in shared memory, so they hold over all workers.

import type { AddressTable } from "../catalog/address-table.ts";
import type { SleepAnswer, WakeGuardRules } from "../core/app.ts";
import { IP_WORDS, parseIp } from "../core/ip-address.ts";
import { FIELD } from "../http/field-names.ts";
import type { RequestHead } from "../http/message.ts";

export interface WakeGuardOptions {
  /** Whose rules they are. */
  readonly app: string;
  readonly rules: WakeGuardRules;
  readonly table: AddressTable;
  /** Milliseconds of a clock that all threads share. */
  readonly now: () => number;
}

/** Of programs that ask whether something is up; some say so within a browser's own name. */
const WATCHERS = new RegExp(
  [
    "kube-probe/|ELB-HealthChecker|GoogleHC/|GoogleStackdriverMonitoring|Amazon-Route53-Health-Check|Cloudflare-(Healthchecks|Traffic-Manager)",
    "UptimeRobot|Pingdom|StatusCake|Better Uptime|Better Stack|Site24x7|HetrixTools|updown\\.io|NodePing|Freshping|Uptime\\.com|SentryUptimeBot",
    "Consul Health Check|Blackbox Exporter|Uptime-Kuma|Gatus/|check_http/|Datadog/Synthetics|Checkly|Edge Health Probe|Load Balancer Agent",
  ].join("|"),
  "i",
);

export class WakeGuard {
  /** Of the last refusal: seconds after which the client may wake the app again. */
  retryAfterS: number | null = null;
  readonly #answers: ReadonlySet<SleepAnswer>;
  readonly #wakes: WakeGuardRules["wakes"];
  readonly #table: AddressTable;
  readonly #scope: number;
  readonly #now: () => number;
  readonly #words = new Uint32Array(IP_WORDS);

  constructor({ app, rules, table, now }: WakeGuardOptions) {
    this.#answers = new Set(rules.answers);
    this.#wakes = rules.wakes;
    this.#table = table;
    // No app has such a name: what its access rules count is another matter.
    this.#scope = table.scope(`wakes of ${app}`);
    this.#now = now;
  }

  /** What the edge answers the request with instead of waking anything; null: nothing. */
  answer(head: RequestHead): SleepAnswer | null {
    const answer = sleepAnswer(head);
    return answer !== null && this.#answers.has(answer) ? answer : null;
  }

  /** One more wake of a client. False: it has had as many as it may have. */
  mayWake(ip: string): boolean {
    if (this.#wakes === null) return true;
    const family = parseIp(ip, this.#words);
    if (family === null) return true;
    const { intervalMs, toleranceMs } = this.#wakes;
    const waitMs = this.#table.take(this.#scope, family, this.#words, intervalMs, toleranceMs, this.#now());
    this.retryAfterS = waitMs === 0 ? null : Math.ceil(waitMs / 1000);
    return waitMs === 0;
  }
}

/** Which of the answers without a wake would suit the request; null: none. */
export function sleepAnswer({ method, target, fields }: RequestHead): SleepAnswer | null {
  if (method !== "GET" && method !== "HEAD") return null;
  if (target === "/robots.txt") return "robots";
  if (target === "/favicon.ico") return "favicon";
  const userAgent = fields.find(FIELD.userAgent);
  return userAgent !== -1 && WATCHERS.test(fields.value(userAgent)) ? "health-checks" : null;
}
