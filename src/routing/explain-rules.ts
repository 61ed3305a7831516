// The rules that have a say before machines are looked at, as `explain` tells them. Pure.

import type { AccessRules, SessionRule, SpacedRate } from "../core/app.ts";
import { AddressSet } from "../core/address-set.ts";
import type { Aim, Target } from "../core/aim.ts";
import { isInScope, scopePaths } from "../core/path-scope.ts";
import type { AppEntry } from "../catalog/entry.ts";
import { WORTH_A_PAGE_MS } from "./detour.ts";

/** One rule, and what it says of the request. */
export interface ExplainedRule {
  readonly rule:
    | "host"
    | "force_https"
    | "access"
    | "primary"
    | "sticky"
    | "steering"
    | "replay_cache"
    | "policy"
    | "what_if"
    | "wait_page"
    | "wake_guard";
  readonly verdict: string;
}

/** Why an app's rules for its clients keep this one out; null: they do not, as far as can be told. */
export function deniedBy({ allow, deny }: AccessRules, client: string | null): string | null {
  if (client === null) return null;
  if (new AddressSet(deny).has(client)) return `deny has ${client}`;
  return allow.length > 0 && !new AddressSet(allow).has(client) ? `allow does not have ${client}` : null;
}

export function accessVerdict(rules: AccessRules | null, client: string | null): string {
  if (rules === null) return "everybody may come";
  const denied = deniedBy(rules, client);
  if (denied !== null) return `refused: ${denied}`;
  const { allow, deny, rate, connectionsPerAddress } = rules;
  const isListed = allow.length > 0 || deny.length > 0;
  const parts = [
    ...(isListed ? [client === null ? "depends on the client's address, which was not given" : `${client} may come`] : []),
    ...(rate === null ? [] : [`one request each ${round(rate.intervalMs)} ms, ${burstOf(rate)} at once`]),
    ...(connectionsPerAddress === null ? [] : [`${connectionsPerAddress} connections of an address`]),
  ];
  return parts.join("; ");
}

/** @param aim null: the request asks for nothing of the kind, or may not */
export function steeringVerdict(aim: Aim | null): string {
  const steps: string[] = [];
  for (let one = aim; one !== null; one = one.orElse) steps.push(nameOf(one.target));
  return steps.length === 0 ? "any machine" : `${steps.join(", else ")}${aim !== null && !steps.includes(ANY) ? ", else nothing" : ""}`;
}

/** What workers remember is known to them alone. */
export function replayCacheVerdict(rules: readonly SessionRule[] | null, url: string): string {
  const { hostname, pathname } = new URL(url);
  const rule = rules?.find(({ scope }) => isInScope(scope, hostname, scopePaths(pathname)));
  if (rule === undefined) return "not considered: what the edge remembers of replays";
  return `not considered: what the edge remembers of replays for ${rule.ttlMs / 1000} s by the ${rule.type} ${rule.name}`;
}

export function policyVerdict({ regionPolicy, balance }: AppEntry): string {
  return `region_policy is "${regionPolicy}", balance is "${balance}"`;
}

/**
 * What an app says to those who would wait for it to wake; nothing where it says nothing.
 *
 * @param wakeMs how long that is expected to take; null: nobody would wait
 */
export function sleepVerdicts({ waitPage, wakeGuard }: Pick<AppEntry, "waitPage" | "wakeGuard">, wakeMs: number | null): ExplainedRule[] {
  const verdicts: ExplainedRule[] = [];
  if (wakeGuard !== null) {
    const { answers, wakes } = wakeGuard;
    const parts = [
      ...(answers.length === 0 ? [] : [`${answers.join(", ")} ${wakeMs === null ? "go to a machine" : "are answered without a wake"}`]),
      ...(wakes === null ? [] : [`one wake of an address each ${round(wakes.intervalMs)} ms, ${burstOf(wakes)} at once`]),
    ];
    verdicts.push({ rule: "wake_guard", verdict: parts.join("; ") });
  }
  if (waitPage) {
    const expected = `the wake is expected to take ${wakeMs} ms`;
    const verdict =
      wakeMs === null
        ? "nobody waits for a wake"
        : wakeMs > WORTH_A_PAGE_MS
          ? `a browser that opens a page gets the waiting page, all others are held: ${expected}`
          : `browsers are held as well: ${expected}`;
    verdicts.push({ rule: "wait_page", verdict });
  }
  return verdicts;
}

const ANY = "any machine";

function nameOf({ machine, regions, except }: Target): string {
  const which = machine !== null ? `machine ${machine}` : regions !== null ? `regions ${regions.join(", ") || "none"}` : ANY;
  return except === null ? which : `${which} but ${except}`;
}

function burstOf({ intervalMs, toleranceMs }: SpacedRate): number {
  return round(toleranceMs / intervalMs) + 1;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
