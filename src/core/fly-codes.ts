// The codes that Fly's proxy logs for the same failures, beside our own names: for people and tools that know those. Reference section 3.6;
// docs/errors.md has the table.

import { ERRORS, type ErrorCode } from "./errors.ts";

/** What has no like there is not in it. */
export const FLY_CODES: Partial<Record<ErrorCode, string>> = {
  connect_refused: "PC01",
  upstream_reset: "PC03",
  connect_timeout: "PC05",
  connect_failed: "PC06",
  upstream_closed: "PU02",
  upstream_timeout: "PU02",
  bad_response: "PU02",
  response_truncated: "PU02",
  wake_timeout: "PM05",
  wake_failed: "PM07",
  spawn_failed: "PM07",
  machine_state: "PM08",
  attempts_exhausted: "PR03",
  replay_body_lost: "PA01",
  replay_loop: "PA02",
  replay_malformed: "PA03",
  replay_target_not_found: "PA04",
  no_machine: "PR04",
  no_healthy_machine: "PR04",
  at_capacity: "PR04",
  queue_full: "PR04",
  tls_handshake_failed: "PT04",
  tls_unknown_name: "PT05",
};

export interface FlyFailure {
  readonly code: string;
  /** In Fly's words; undefined where those say no more than ours. */
  readonly message: string | undefined;
}

/**
 * A request or connection that failed, as Fly's proxy tells it. One that reached no machine at all was tried everywhere: what is told is
 * that, and the last failure with it.
 *
 * @param isRequest false for a connection without the http handler
 */
export function flyFailure(code: ErrorCode, attempts: number, isRequest: boolean): FlyFailure | null {
  const own = FLY_CODES[code];
  if (own === undefined) return null;
  const isNoneKnown = code === "no_machine" || code === "no_healthy_machine";
  if (isNoneKnown && !isRequest) return { code: "PR01", message: undefined };
  const candidates = `could not find a good candidate within ${attempts} attempts at load balancing`;
  if (ERRORS[code].retry === "elsewhere" && attempts > 0) {
    return { code: "PR03", message: `${candidates}. last error: [${own}] ${ERRORS[code].summary}` };
  }
  return { code: own, message: own === "PR04" && attempts > 0 ? candidates : undefined };
}
