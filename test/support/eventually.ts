// Waits for something that nobody announces, such as a count that another thread keeps.

import { setTimeout as delay } from "node:timers/promises";

const LOOK_MS = 5;
const LIMIT_MS = 10_000;
/** No event says that nothing happens. */
const STILL_MS = 150;

/** Resolves as soon as `isSo` says so; rejects with what was waited for when that takes too long. */
export async function eventually(isSo: () => boolean | Promise<boolean>, what: string, limitMs = LIMIT_MS): Promise<void> {
  const untilMs = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > untilMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await delay(LOOK_MS);
  }
}

/** Resolves with a count above 0 once it has stopped growing, such as that of bytes on their way to somebody who does not read. */
export async function untilStill(count: () => number): Promise<number> {
  for (;;) {
    const before = count();
    if (!(await isSoWithin(STILL_MS, () => count() > before)) && before > 0) return before;
  }
}

/** Does it become so in that time? For what may well not, and where that is an answer. */
export async function isSoWithin(limitMs: number, isSo: () => boolean): Promise<boolean> {
  const untilMs = performance.now() + limitMs;
  while (!isSo() && performance.now() < untilMs) await delay(LOOK_MS);
  return isSo();
}
