// Awake means: its port accepts. Connects again and again until it does, often enough that waiting adds next to nothing.

import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

import type { Address } from "../core/app.ts";

/** A SYN into a network that is still coming up is lost without an answer, so one attempt must not last. */
const ATTEMPT_MS = 500;

/** After this long the machine is either slow or broken, and looking once a second is enough. */
const PATIENT_AFTER_MS = 30_000;

/**
 * Resolves as soon as `address` accepts a TCP connection (which is closed at once).
 *
 * @param signal ends the wait: rejects with its reason
 */
export async function waitUntilListening(address: Address, signal: AbortSignal): Promise<void> {
  const begun = performance.now();
  for (;;) {
    signal.throwIfAborted();
    if (await accepts(address, signal)) return;
    signal.throwIfAborted();
    await delay(pauseMs(performance.now() - begun), undefined, { signal }).catch(() => {});
  }
}

/** A fortieth of the time waited so far, between 2 and 25 ms: finding out late costs a start 2.5 % at most. */
export function pauseMs(waitedMs: number): number {
  if (waitedMs >= PATIENT_AFTER_MS) return 1000;
  return Math.min(25, Math.max(2, waitedMs / 40));
}

function accepts(address: Address, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address.host, port: address.port });
    const settle = (accepted: boolean) => (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", refused);
      socket.destroy();
      resolve(accepted);
    };
    const refused = settle(false);
    const timer = setTimeout(refused, ATTEMPT_MS);
    signal.addEventListener("abort", refused, { once: true });
    socket.once("connect", settle(true));
    // Stays attached after the end: an error that comes late must not become an uncaught one.
    socket.on("error", refused);
  });
}
