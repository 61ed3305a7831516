// Keeps a component running until it is told to stop: one that breaks is started again, later each time.

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "./backoff.ts";
import type { Component } from "./component.ts";

export interface SuperviseOptions {
  readonly signal: AbortSignal;
  readonly random: () => number;
  readonly onBroken: (component: Component, error: unknown, retryMs: number) => void;
}

const BACKOFF = { minMs: 100, maxMs: 30_000 };
/** A component that ran for this long was fine; its next failure counts as the first. */
const STEADY_MS = 60_000;

/** Resolves when `signal` aborted and the component has ended. */
export async function supervise(component: Component, { signal, random, onBroken }: SuperviseOptions): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const startedMs = performance.now();
    try {
      await component.run(signal);
      if (signal.aborted) return;
      throw new Error(`component "${component.name}" ended without being asked to`);
    } catch (error) {
      if (signal.aborted) return;
      failures = performance.now() - startedMs > STEADY_MS ? 1 : failures + 1;
      const retryMs = backoffMs(failures, BACKOFF, random());
      onBroken(component, error, retryMs);
      await delay(retryMs, undefined, { signal }).catch(() => {});
    }
  }
}
