// The boundary where errors of the operating system become codes of ours.

import { ProxyError } from "../core/errors.ts";

/** Translates what went wrong before a connection stood. */
export function connectFailure(error: NodeJS.ErrnoException, address: string): ProxyError {
  switch (error.code) {
    case "ECONNREFUSED":
      return new ProxyError("connect_refused", `"${address}" refused the connection`, { cause: error });
    case "ETIMEDOUT":
      return new ProxyError("connect_timeout", `"${address}" did not accept the connection in time`, { cause: error });
    default:
      return new ProxyError("connect_failed", `"${address}" could not be reached: ${error.code ?? error.message}`, { cause: error });
  }
}

/** Translates what went wrong on a connection that stood. */
export function connectionFailure(error: NodeJS.ErrnoException, address: string): ProxyError {
  if (error.code === "ECONNRESET" || error.code === "EPIPE") {
    return new ProxyError("upstream_reset", `"${address}" reset the connection`, { cause: error });
  }
  return new ProxyError("upstream_closed", `the connection to "${address}" broke: ${error.code ?? error.message}`, { cause: error });
}
