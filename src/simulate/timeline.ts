// The virtual clock: what is to happen, by when. A binary heap; what is due at the same moment happens in the order in which it was planned.

interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
}

export class Timeline {
  nowMs = 0;
  readonly #heap: Planned[] = [];
  #planned = 0;

  /** @param atMs of the virtual clock; what is past happens next */
  at(atMs: number, act: () => void): void {
    const heap = this.#heap;
    heap.push({ atMs: Math.max(atMs, this.nowMs), order: this.#planned++, act });
    for (let child = heap.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!isBefore(heap[child]!, heap[parent]!)) break;
      swap(heap, child, parent);
      child = parent;
    }
  }

  after(ms: number, act: () => void): void {
    this.at(this.nowMs + ms, act);
  }

  /** Lets everything happen up to that moment, and what it leads to. */
  runUntil(endMs: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.atMs <= endMs) {
      const { atMs, act } = this.#pop();
      this.nowMs = atMs;
      act();
    }
    this.nowMs = endMs;
  }

  #pop(): Planned {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    heap[0] = last;
    for (let parent = 0; ;) {
      const left = 2 * parent + 1;
      let least = parent;
      if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left;
      if (left + 1 < heap.length && isBefore(heap[left + 1]!, heap[least]!)) least = left + 1;
      if (least === parent) return first;
      swap(heap, least, parent);
      parent = least;
    }
  }
}

function isBefore(one: Planned, other: Planned): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

function swap(heap: Planned[], one: number, other: number): void {
  const kept = heap[one]!;
  heap[one] = heap[other]!;
  heap[other] = kept;
}
