// The rules that have a say before machines are looked at, as `explain` tells them. Pure.

import type { AccessRules } from "../core/app.ts";
import { AddressSet } from "../core/address-set.ts";
import type { Aim, Target } from "../core/aim.ts";
import type { AppEntry } from "../catalog/entry.ts";

/** One rule, and what it says of the request. */
export interface ExplainedRule {
  readonly rule: "host" | "force_https" | "access" | "primary" | "sticky" | "steering" | "policy" | "what_if";
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
    ...(rate === null ? [] : [`one request each ${round(rate.intervalMs)} ms, ${round(rate.toleranceMs / rate.intervalMs) + 1} at once`]),
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

export function policyVerdict({ regionPolicy, balance }: AppEntry): string {
  return `region_policy is "${regionPolicy}", balance is "${balance}"`;
}

const ANY = "any machine";

function nameOf({ machine, regions, except }: Target): string {
  const which = machine !== null ? `machine ${machine}` : regions !== null ? `regions ${regions.join(", ") || "none"}` : ANY;
  return except === null ? which : `${which} but ${except}`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
