// How a command ends. Scripts rely on these numbers: docs/cli.md promises them.

import type { ErrorCode } from "../core/errors.ts";

export const EXIT = { ok: 0, failure: 1, invalid: 2, unreachable: 3 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES_HELP = `
Exit codes:
  0  done
  1  it failed
  2  the configuration or the command line is invalid
  3  no node answers`;

/** What a failure with this error code means for the exit code. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  switch (code) {
    case "config_invalid":
    case "bad_request":
      return EXIT.invalid;
    case "connect_failed":
    case "bad_response":
      return EXIT.unreachable;
    default:
      return EXIT.failure;
  }
}
