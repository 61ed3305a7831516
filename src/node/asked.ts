// What a request asks for of an app's machines, for `explain`: the edge's own decisions, and in words why.

import type { AppEntry, ServiceEntry } from "../catalog/entry.ts";
import type { Bond } from "../edge/affinity.ts";
import { affinityOf } from "../edge/edge-app.ts";
import type { SignedCookies } from "../edge/signed-cookies.ts";
import { wishOf } from "../edge/steering.ts";
import { EditedFields } from "../http/edited-head.ts";
import type { Asked } from "../routing/explain.ts";
import type { ExplainedRule } from "../routing/explain-rules.ts";

export interface AskedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The client is a trusted proxy itself. */
  readonly isTrusted: boolean;
  readonly cookies: SignedCookies;
}

export function askedOf(app: AppEntry, service: ServiceEntry | null, request: AskedRequest): Asked {
  const { method, path, headers, isTrusted, cookies } = request;
  const fields = EditedFields.of(headers);
  const wish = app.steering === "any" || isTrusted ? wishOf(fields) : null;
  const affinity = service === null ? null : affinityOf(app, service, cookies);
  if (affinity === null) return { aim: wish?.aim ?? null, rules: [] };
  const isAnyUp = service!.machines.some(({ state, health, cordoned }) => state === "started" && health !== "critical" && !cordoned);
  const bond = affinity.bond({ method, target: path, fields }, wish, isAnyUp);
  return { aim: bond.aim, rules: rulesOf(app, bond) };
}

function rulesOf({ sticky, primary }: AppEntry, bond: Bond): ExplainedRule[] {
  const rules: ExplainedRule[] = [];
  if (primary !== null) rules.push({ rule: "primary", verdict: primaryVerdict(bond, primary.region) });
  if (sticky !== null) rules.push({ rule: "sticky", verdict: stickyVerdict(bond) });
  return rules;
}

function primaryVerdict({ use, isFollowing }: Bond, region: string): string {
  if (use === "exempt") return "passes through, to any region";
  if (use === "write") return `writes, which is for ${region}`;
  return isFollowing ? `reads, and its client wrote a while ago: follows to ${region}` : "reads, in any region";
}

function stickyVerdict({ kept, sticks, aim }: Bond): string {
  if (!sticks) return "has no say in this request";
  if (kept === null) return "no good cookie: whoever answers is kept to";
  return aim === null ? `machine ${kept.text} is not to be had: whoever answers is kept to` : `keeps to machine ${kept.text}`;
}
