// What a worker knows of an app: the immutable entry that the main thread sends whenever the app or one of its machines changes.

import type {
  AccessRules,
  Address,
  App,
  Balance,
  ClientAuth,
  Hsts,
  OutlierRules,
  RegionPolicy,
  Service,
  ServicePort,
  WakeGuardRules,
} from "../core/app.ts";
import type { Health, MachineState } from "../core/machine.ts";

export interface AppEntry {
  readonly name: string;
  readonly hostnames: readonly string[];
  readonly services: readonly ServiceEntry[];
  /** How long a request may be held. */
  readonly wakeTimeoutMs: number;
  readonly regionPolicy: RegionPolicy;
  readonly balance: Balance;
  /** As in `App`. */
  readonly warmDetour: boolean;
  readonly errorPages: Readonly<Record<string, string>>;
  /** As in `App`. */
  readonly clientAuth: ClientAuth | null;
  readonly hsts: Hsts | null;
  /** As in `App`. */
  readonly steering: App["steering"];
  /** As in `App`. */
  readonly sticky: App["sticky"];
  /** As in `App`. */
  readonly primary: App["primary"];
  readonly access: AccessRules | null;
  /** As in `App`. */
  readonly waitPage: boolean;
  /** As in `App`. */
  readonly wakeGuard: WakeGuardRules | null;
  /** As in `App`. */
  readonly outliers: OutlierRules;
}

export interface ServiceEntry {
  readonly app: string;
  readonly key: string;
  readonly protocol: Service["protocol"];
  readonly internalPort: number;
  readonly ports: readonly ServicePort[];
  readonly autoStart: boolean;
  readonly softLimit: number;
  /** null: unlimited. */
  readonly hardLimit: number | null;
  /** Most bytes of a request's body; null: unlimited. */
  readonly maxBodyBytes: number | null;
  /** Upstream connections rest in a pool only with `type = "requests"`; reference section 1.5. */
  readonly reusesConnections: boolean;
  /** Slot in the load table on which requests wait that found every machine at its hard limit. */
  readonly waitSlot: number;
  /** Name of the cookie by which clients stick to a machine: services with the same machines have the same. */
  readonly stickyCookie: string;
  readonly machines: readonly MachineEntry[];
}

export interface MachineEntry {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  /** null while it has never started. */
  readonly address: Address | null;
  /** Slot in the load table for this machine and service. */
  readonly slot: number;
  /** Round trip from this edge, in milliseconds. */
  readonly rttMs: number;
  readonly state: MachineState;
  /** How long a wake of it is expected to take, in milliseconds; while it starts, how long that was expected to take. 0 when it is awake. */
  readonly wakeMs: number;
  readonly health: Health;
  readonly cordoned: boolean;
}
