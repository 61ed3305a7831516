// Hot path of apps that ask for it. Where a request goes for what its client did before, or because it writes: a machine that the client
// sticks to, and the primary region of an app whose data is written there alone. Both are remembered by clients in signed cookies.
// Reference section 4.8; docs/replay.md.

import { type Aim, target } from "../core/aim.ts";
import type { Health } from "../core/machine.ts";
import type { PrimaryRules } from "../core/app.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import { aimAnywhere, aimAtMachine } from "../routing/aim.ts";
import { dataUseOf, type DataUse } from "./primary.ts";
import type { SignedCookies, SignedText } from "./signed-cookies.ts";
import { isMachineId, type Wish } from "./steering.ts";

export const PRIMARY_COOKIE = "kittiwake_primary";
/** A machine that sleeps is waited for if it is expected to be up so soon: one that was suspended, mostly, which has its memory yet. */
const MOST_WAKE_MS = 1000;

interface StickyMachine {
  readonly id: string;
  readonly region: string;
  readonly health: Health;
  readonly cordoned: boolean;
  readonly wakeMs: number;
  readonly outlier?: { readonly isEjected: boolean };
}

export interface AffinityOptions {
  readonly app: string;
  /** null: clients stick to no machine. */
  readonly sticky: { readonly cookie: string; readonly forS: number } | null;
  /** null: every region can write. */
  readonly primary: PrimaryRules | null;
  /** Of the service. */
  readonly machines: readonly StickyMachine[];
  readonly cookies: SignedCookies;
}

/** Who answered, and how. */
export interface Answer {
  readonly app: string;
  readonly machine: { readonly id: string; readonly region: string };
  /** A machine handed the request on: what is so is the app's own affair. */
  readonly isReplayed: boolean;
  readonly isSecure: boolean;
}

/** What is known of one request. */
export interface Bond {
  readonly affinity: Affinity;
  /** null: the usual rules. */
  readonly aim: Aim | null;
  readonly use: DataUse;
  /** The client goes where it wrote a while ago. */
  readonly isFollowing: boolean;
  /** What the client's cookie says it sticks to, whoever that is; null: nothing. */
  readonly kept: SignedText | null;
  /** Whoever answers is whom the client sticks to from now on. */
  readonly sticks: boolean;
}

/** Of one service, as long as it does not change. */
export class Affinity {
  readonly #options: AffinityOptions;
  readonly #machines = new Map<string, StickyMachine>();
  /** By id of the machine: the same for every client. */
  readonly #aims = new Map<string, Aim>();

  constructor(options: AffinityOptions) {
    this.#options = options;
    if (options.sticky !== null) for (const machine of options.machines) this.#machines.set(machine.id, machine);
  }

  /**
   * @param wish of the request's own headers, which win, unless it writes and they only prefer; null for none
   * @param isAnyUp does a machine of the service run?
   */
  bond(head: Pick<RequestHead, "method" | "target" | "fields">, wish: Wish | null, isAnyUp: boolean): Bond {
    const { app, sticky, primary, cookies } = this.#options;
    const use = primary === null ? "exempt" : dataUseOf(head.method, head.target, primary);
    const isFree = wish === null || wish.aim === null;
    if (!isFree && (use !== "write" || wish.isForced))
      return { affinity: this, aim: wish.aim, use, isFollowing: false, kept: null, sticks: false };
    const kept = sticky === null ? null : cookies.read(head.fields, sticky.cookie, app);
    const machine = kept === null ? undefined : this.#worthIt(kept.text, isAnyUp);
    const isFollowing = use === "read" && cookies.read(head.fields, PRIMARY_COOKIE, app)?.text === primary!.region;
    if (use !== "write" && !isFollowing) {
      const aim = machine === undefined ? null : this.#aimAt(machine.id);
      return { affinity: this, aim, use, isFollowing, kept, sticks: sticky !== null };
    }
    const asked = isFree ? null : wish.preferred;
    const id = asked !== null && isMachineId(asked) ? asked : machine?.region === primary!.region ? machine.id : null;
    return { affinity: this, aim: aimAtPrimary(primary!, use, id), use, isFollowing, kept, sticks: false };
  }

  /** Values of the `set-cookie` fields that the answer is to have; null for none. */
  cookies({ use, kept, sticks }: Bond, head: ResponseHead, { app, machine, isReplayed, isSecure }: Answer): string[] | null {
    const { sticky, primary, cookies } = this.#options;
    if (app !== this.#options.app) return null;
    // Whether an error has written anything nobody can tell.
    if (use === "write") {
      if (primary!.followS === 0 || machine.region !== primary!.region) return null;
      return [cookies.set(PRIMARY_COOKIE, app, { text: primary!.region, forS: primary!.followS, isSecure })];
    }
    if (!sticks || isReplayed || head.status >= 500) return null;
    const { cookie, forS } = sticky!;
    const isFresh = kept !== null && kept.expiresS - cookies.nowS > forS / 2;
    if ((isFresh && kept.text === machine.id) || isForAll(head)) return null;
    return [cookies.set(cookie, app, { text: machine.id, forS, isSecure })];
  }

  /** undefined: it is gone, fails, or sleeps so deeply that one that is up serves better. */
  #worthIt(id: string, isAnyUp: boolean): StickyMachine | undefined {
    const machine = this.#machines.get(id);
    if (machine === undefined || machine.cordoned || machine.health === "critical" || machine.outlier?.isEjected === true) return undefined;
    return machine.wakeMs <= MOST_WAKE_MS || !isAnyUp ? machine : undefined;
  }

  #aimAt(machine: string): Aim {
    let aim = this.#aims.get(machine);
    if (aim === undefined) this.#aims.set(machine, (aim = aimAtMachine(machine, null, aimAnywhere())));
    return aim;
  }
}

function aimAtPrimary({ region, fallback }: PrimaryRules, use: DataUse, machine: string | null): Aim {
  const orElse = use === "read" || fallback === "any" ? aimAnywhere() : null;
  const atRegion: Aim = { target: target({ regions: [region] }), orElse };
  return machine === null ? atRegion : { target: target({ machine, regions: [region] }), orElse: atRegion };
}

/** A cache in front may give it to others, with the cookie (RFC 9111 section 7.3), or not keep it because of that. */
function isForAll({ fields }: ResponseHead): boolean {
  const control = joinedValue(fields, "cache-control");
  return control !== null && /(?:^|[\s,])(?:public|s-maxage=)/i.test(control);
}
