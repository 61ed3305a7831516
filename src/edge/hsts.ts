// Hot path. What `Strict-Transport-Security` says (RFC 6797) in a response over HTTPS. Browsers hold on to it for as long as it says, whatever
// becomes of the certificate, so it grows only with the time for which all went well.

import type { Hsts } from "../core/app.ts";

const MINUTE_S = 60;
const DAY_S = 86_400;

/** From how many seconds of being trusted on which age is told. */
const STEPS = [
  { fromS: 30 * DAY_S, maxAgeS: 180 * DAY_S },
  { fromS: 7 * DAY_S, maxAgeS: 7 * DAY_S },
  { fromS: DAY_S, maxAgeS: DAY_S },
  { fromS: -Infinity, maxAgeS: 5 * MINUTE_S },
] as const;

/** @param trustedS for how many seconds the name has been served with a certificate that browsers trust */
export function hstsValue({ maxAgeS, includeSubdomains, preload }: Hsts, trustedS: number): string {
  const age = maxAgeS ?? STEPS.find(({ fromS }) => trustedS >= fromS)!.maxAgeS;
  return `max-age=${age}${includeSubdomains ? "; includeSubDomains" : ""}${preload ? "; preload" : ""}`;
}
