// How far a certificate is in its life, for people and for alarms.

export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export type LifetimeState = "not_yet_valid" | "valid" | "expires_soon" | "expired";

const SOON_MS = 14 * 86_400_000;
/** Of its life; for certificates of few days. Those that renew themselves should have done so long before. */
const SOON_SHARE = 1 / 6;

export function lifetimeState({ notBefore, notAfter }: Lifetime, nowMs: number): LifetimeState {
  const endMs = notAfter.getTime();
  if (endMs <= nowMs) return "expired";
  if (notBefore.getTime() > nowMs) return "not_yet_valid";
  const soonMs = Math.min(SOON_MS, (endMs - notBefore.getTime()) * SOON_SHARE);
  return endMs - nowMs <= soonMs ? "expires_soon" : "valid";
}
