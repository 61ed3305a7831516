// What runs at once, and what waits for its turn: each kind in a lane of its own, so that an order somebody waits for, the first order of a
// name, one of a name that has failed before, and a question about a renewal never wait for each other.

import { setImmediate } from "node:timers/promises";

export type Lane = "wanted" | "order" | "suspect" | "plan";

/** What is to be done for a name, as far as it matters to when. */
export interface Due {
  readonly name: string;
  readonly lane: Lane;
  /** An operator asked for it. */
  readonly isForced: boolean;
  /** No certificate serves it. */
  readonly isBare: boolean;
  /** From when on, in milliseconds since the epoch. */
  readonly atMs: number;
}

/** Enough that a slow order does not hold up the rest, too few to look like an attack. */
const ROOM: Readonly<Record<Lane, number>> = { wanted: 8, order: 4, suspect: 2, plan: 4 };

export class Lanes {
  readonly #running = new Map<string, { readonly due: Due; readonly ended: Promise<void> }>();
  /** The first to go is the last of its list. */
  readonly #waiting: Record<Lane, string[]> = { wanted: [], order: [], suspect: [], plan: [] };

  /** Resolves when all that runs now has ended. */
  get idle(): Promise<unknown> {
    return Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Names with an order under way. */
  get ordered(): string[] {
    return [...this.#running.values()].filter(({ due }) => due.lane !== "plan").map(({ due }) => due.name);
  }

  has(name: string): boolean {
    return this.#running.has(name);
  }

  /** Takes the place of all that waited: bare names first, by chance among equals, so that the nodes of a fleet do not go for the same ones. */
  queue(dues: readonly Due[], random: () => number): void {
    const ranked = dues
      .map((due) => ({ due, chance: random() }))
      .sort((a, b) => Number(a.due.isBare) - Number(b.due.isBare) || a.chance - b.chance);
    for (const lane of LANES) this.#waiting[lane] = ranked.filter(({ due }) => due.lane === lane).map(({ due }) => due.name);
  }

  /** One that somebody waits for goes first. */
  push(name: string): void {
    this.#waiting.wanted.push(name);
  }

  /** The next name for which there is room in its lane; null: none. */
  next(): string | null {
    for (const lane of LANES) {
      if (this.#waiting[lane].length > 0 && this.#count(lane) < ROOM[lane]) return this.#waiting[lane].pop()!;
    }
    return null;
  }

  /** @param turn must not reject */
  add(due: Due, turn: Promise<void>, onEnd: () => void): void {
    // Stores may answer at once: without a break, ten thousand turns would hold up everybody else.
    const ended = turn
      .then(() => setImmediate())
      .then(() => {
        this.#running.delete(due.name);
        onEnd();
      });
    this.#running.set(due.name, { due, ended });
  }

  #count(lane: Lane): number {
    let count = 0;
    for (const { due } of this.#running.values()) if (due.lane === lane) count++;
    return count;
  }
}

const LANES = Object.keys(ROOM) as readonly Lane[];
