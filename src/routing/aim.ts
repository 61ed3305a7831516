// The machines that an aim allows, and the aims that lists of regions stand for. Reference sections 4.1 and 4.7.

import { type Aim, isInTarget, target, type Target } from "../core/aim.ts";
import { REGION_ALIASES } from "../core/region-table.ts";
import type { Balanced, Balancer, Refusal } from "./balancer.ts";
import type { Candidate } from "./rank.ts";

/** Targets that a service remembers the machines of; clients may ask for as many as they like. */
const MOST_TARGETS = 256;
/** More regions in one list than there are in the world's largest cloud. */
const MOST_REGIONS = 64;

export interface Aimable<Machine extends Candidate> extends Balanced<Machine> {
  readonly machines: readonly Machine[];
}

/** What came of a claim, and the part of the aim that it came of. */
export interface Aimed<Machine> {
  readonly outcome: Machine | Refusal;
  readonly aim: Aim;
}

/** Claims places for requests with an aim. What a target leaves of a service is found once for as long as the service does not change. */
export class AimedClaims<Machine extends Candidate, Service extends Aimable<Machine>> {
  readonly #balancer: Balancer;
  readonly #narrowed: (service: Service, machines: readonly Machine[]) => Service;
  readonly #parts = new WeakMap<Service, Map<string, Service>>();
  /** By id. */
  readonly #machines = new WeakMap<Service, Map<string, Machine>>();

  /** @param narrowed the service as it would be with these machines alone */
  constructor(balancer: Balancer, narrowed: (service: Service, machines: readonly Machine[]) => Service) {
    this.#balancer = balancer;
    this.#narrowed = narrowed;
  }

  /**
   * Along the chain of the aim, the first target with a machine that has a place, or that can be woken. A target whose machines are all at
   * their hard limit is passed over; if there is nothing behind it either, the request may wait for a place. One whose machines all fail their
   * checks is passed over, too, unless it is the last.
   */
  claim(service: Service, tried: readonly Machine[] | null, aim: Aim): Aimed<Machine> {
    let refusal: Refusal = "none";
    for (let one: Aim | null = aim; one !== null; one = one.orElse) {
      const part = this.part(service, one.target);
      const outcome = part.ranked.isPanic && one.orElse !== null ? "unhealthy" : this.#balancer.claim<Machine>(part, tried);
      if (typeof outcome !== "string" || outcome === "asleep") return { outcome, aim: one };
      if (outcome === "full" || refusal === "none") refusal = outcome;
    }
    return { outcome: refusal, aim };
  }

  /** What the target leaves of the service. */
  part(service: Service, wanted: Target): Service {
    let parts = this.#parts.get(service);
    if (parts === undefined) this.#parts.set(service, (parts = new Map()));
    let part = parts.get(wanted.key);
    if (part === undefined) {
      if (parts.size >= MOST_TARGETS) parts.clear();
      part = this.#narrowed(
        service,
        this.#within(service, wanted).filter((machine) => isInTarget(wanted, machine)),
      );
      parts.set(wanted.key, part);
    }
    return part;
  }

  /** Those that are worth a look: of a service with more machines than targets are remembered for, all of which clients ask for. */
  #within(service: Service, { machine: id }: Target): readonly Machine[] {
    if (id === null || service.machines.length <= MOST_TARGETS) return service.machines;
    let machines = this.#machines.get(service);
    if (machines === undefined) {
      machines = new Map(service.machines.map((machine) => [machine.id, machine]));
      this.#machines.set(service, machines);
    }
    const machine = machines.get(id);
    return machine === undefined ? [] : [machine];
  }
}

/**
 * The aim of a list of regions and aliases in order of preference, `any` among them. Whatever names no region has no machines.
 *
 * @param orElse what comes behind the list
 */
export function aimAtRegions(regions: readonly string[], except: string | null, orElse: Aim | null): Aim | null {
  let aim = orElse;
  for (const name of regions.slice(0, MOST_REGIONS).toReversed()) {
    const code = name.trim().toLowerCase();
    const wanted = code === "any" ? null : (REGION_ALIASES.get(code) ?? [code]);
    aim = { target: target({ regions: wanted, except }), orElse: aim };
  }
  return aim;
}

export function aimAtMachine(machine: string, except: string | null, orElse: Aim | null): Aim {
  return { target: target({ machine, except }), orElse };
}

export function aimAnywhere(except: string | null = null): Aim {
  return { target: target({ except }), orElse: null };
}
