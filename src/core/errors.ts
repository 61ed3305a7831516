// The one table of error codes. A code says which status a client sees, who is to blame, and whether another attempt may help.
// `edge/respond.ts` turns errors into responses, `admin/server.ts` does it for the API; nobody else picks a status.

export type Blame = "client" | "proxy" | "upstream";

/**
 * - never: another attempt cannot help
 * - elsewhere: nothing reached the machine, so any request may go to another one
 * - if_idempotent: the request may have been seen; only an idempotent one may be sent again
 */
export type Retry = "never" | "elsewhere" | "if_idempotent";

interface ErrorKind {
  /** HTTP status for a client; 0 where no response is possible (the connection is closed). */
  readonly status: number;
  readonly blame: Blame;
  readonly retry: Retry;
  /** One sentence for people; becomes the row in docs/errors.md and the body's message where none is given. */
  readonly summary: string;
}

export const ERRORS = {
  // What a client sent (RFC 9110, 9112)
  bad_request: { status: 400, blame: "client", retry: "never", summary: "the request is malformed" },
  bad_request_line: { status: 400, blame: "client", retry: "never", summary: "the request line is malformed" },
  bad_header: { status: 400, blame: "client", retry: "never", summary: "a header field is malformed" },
  bad_framing: { status: 400, blame: "client", retry: "never", summary: "the length of the body is ambiguous or malformed" },
  bad_host: { status: 400, blame: "client", retry: "never", summary: "the Host header is missing, repeated or malformed" },
  method_not_allowed: { status: 405, blame: "client", retry: "never", summary: "this method is not available at an edge" },
  request_timeout: { status: 408, blame: "client", retry: "never", summary: "the request did not arrive in time" },
  body_too_large: { status: 413, blame: "client", retry: "never", summary: "the body is larger than the app allows" },
  target_too_long: { status: 414, blame: "client", retry: "never", summary: "the request target is too long" },
  expectation_failed: { status: 417, blame: "client", retry: "never", summary: "only 100-continue can be expected" },
  misdirected_request: {
    status: 421,
    blame: "client",
    retry: "never",
    summary: "this host is not served on this port, or not on this connection",
  },
  head_too_large: { status: 431, blame: "client", retry: "never", summary: "the header fields are too large or too many" },
  version_not_supported: { status: 505, blame: "client", retry: "never", summary: "only HTTP/1.0 and HTTP/1.1 are understood here" },
  protocol_not_supported: { status: 501, blame: "client", retry: "never", summary: "only WebSocket can be opened by an extended CONNECT" },
  bad_stream: { status: 0, blame: "client", retry: "never", summary: "the client broke the rules of HTTP/2 on a stream, which was reset" },
  bad_connection: { status: 0, blame: "client", retry: "never", summary: "the client broke the rules of HTTP/2; its connection was closed" },
  client_flood: { status: 0, blame: "client", retry: "never", summary: "the client sent a flood of frames; its connection was closed" },
  client_closed: { status: 0, blame: "client", retry: "never", summary: "the client left before the response was complete" },
  connection_idle: { status: 0, blame: "client", retry: "never", summary: "the connection was silent for too long" },
  bad_proxy_header: { status: 0, blame: "client", retry: "never", summary: "the PROXY header of a proxy in front is missing or malformed" },
  tls_required: { status: 0, blame: "client", retry: "never", summary: "the connection goes on without TLS where only TLS is served" },
  tls_unknown_name: { status: 0, blame: "client", retry: "never", summary: "no app declares the name in the TLS handshake" },
  client_certificate_required: {
    status: 403,
    blame: "client",
    retry: "never",
    summary: "the app asks its clients for a certificate, and none came",
  },
  client_certificate_refused: {
    status: 0,
    blame: "client",
    retry: "never",
    summary: "the client's certificate is not one that the app takes",
  },
  access_denied: { status: 403, blame: "client", retry: "never", summary: "the app does not take requests from this address" },
  rate_limited: { status: 429, blame: "client", retry: "never", summary: "this address makes more requests than the app allows" },
  too_many_connections: { status: 429, blame: "client", retry: "never", summary: "this address has more connections than it may have" },
  too_many_wakes: { status: 429, blame: "client", retry: "never", summary: "this address has woken the app more often than it may" },
  tls_handshake_failed: { status: 0, blame: "client", retry: "never", summary: "the TLS handshake failed" },

  // What the edge decided
  unknown_host: { status: 404, blame: "client", retry: "never", summary: "no app declares this host name" },
  no_machine: { status: 503, blame: "proxy", retry: "never", summary: "the app has no machine that could answer" },
  no_healthy_machine: { status: 503, blame: "upstream", retry: "never", summary: "no machine of the app is healthy" },
  total_timeout: { status: 504, blame: "proxy", retry: "never", summary: "the request took longer than it may in all" },
  at_capacity: { status: 503, blame: "proxy", retry: "never", summary: "every machine is at its hard limit, and no slot became free in time" },
  queue_full: { status: 503, blame: "proxy", retry: "never", summary: "too many requests wait for this app already" },
  sessions_full: { status: 0, blame: "proxy", retry: "never", summary: "more clients of UDP than sessions are kept for" },
  wake_failed: { status: 503, blame: "upstream", retry: "never", summary: "no machine of the app could be started" },
  wake_timeout: { status: 503, blame: "upstream", retry: "never", summary: "the machine did not wake in time" },
  draining: { status: 503, blame: "proxy", retry: "never", summary: "this node is shutting down" },
  attempts_exhausted: { status: 502, blame: "upstream", retry: "never", summary: "no machine could be reached within the allowed attempts" },
  internal: { status: 500, blame: "proxy", retry: "never", summary: "the edge failed; this is a bug" },

  // What a machine did
  connect_refused: { status: 502, blame: "upstream", retry: "elsewhere", summary: "the machine refused the connection" },
  connect_timeout: { status: 502, blame: "upstream", retry: "elsewhere", summary: "the machine did not accept the connection in time" },
  connect_failed: { status: 502, blame: "upstream", retry: "elsewhere", summary: "the machine could not be reached" },
  upstream_closed: { status: 502, blame: "upstream", retry: "if_idempotent", summary: "the machine closed the connection before it answered" },
  upstream_reset: { status: 502, blame: "upstream", retry: "if_idempotent", summary: "the machine reset the connection" },
  upstream_timeout: { status: 504, blame: "upstream", retry: "if_idempotent", summary: "the machine did not answer in time" },
  bad_response: { status: 502, blame: "upstream", retry: "never", summary: "the machine's response is malformed" },
  response_truncated: { status: 502, blame: "upstream", retry: "never", summary: "the machine's response ended early" },
  replay_malformed: { status: 502, blame: "upstream", retry: "never", summary: "the machine asked for a replay in a way that cannot be read" },
  replay_loop: {
    status: 502,
    blame: "upstream",
    retry: "never",
    summary: "the request was replayed ten times, or fell back, and a machine asked for one more replay",
  },
  replay_body_lost: {
    status: 502,
    blame: "upstream",
    retry: "never",
    summary: "the machine asked for a replay, and the request's body is longer than what is kept for one",
  },
  replay_target_not_found: {
    status: 502,
    blame: "upstream",
    retry: "never",
    summary: "the machine asked for a replay at an app that is not here, or that has nothing on this port",
  },
  replay_timeout: {
    status: 504,
    blame: "upstream",
    retry: "never",
    summary: "no machine that a replay was to go to could be reached in the time that was given",
  },

  // Hosts and control plane
  app_not_found: { status: 404, blame: "client", retry: "never", summary: "there is no such app" },
  machine_not_found: { status: 404, blame: "client", retry: "never", summary: "there is no such machine" },
  machine_state: { status: 409, blame: "client", retry: "never", summary: "the machine's state does not allow this" },
  not_supported: { status: 422, blame: "client", retry: "never", summary: "the driver of this machine cannot do this" },
  spawn_failed: { status: 503, blame: "upstream", retry: "elsewhere", summary: "the machine could not be started" },
  config_invalid: { status: 422, blame: "client", retry: "never", summary: "the configuration is invalid" },
  unauthorized: { status: 401, blame: "client", retry: "never", summary: "the admin API needs a valid token" },
  forbidden: { status: 403, blame: "client", retry: "never", summary: "the admin API refuses this origin" },
  store_invalid: { status: 422, blame: "client", retry: "never", summary: "the key, value or number cannot be stored" },
  store_conflict: { status: 409, blame: "proxy", retry: "never", summary: "the stored value has changed meanwhile" },
  store_unavailable: { status: 503, blame: "proxy", retry: "never", summary: "the state store cannot be used" },
  store_compacted: { status: 410, blame: "proxy", retry: "never", summary: "the asked revision is older than what the store remembers" },
  lease_lost: { status: 409, blame: "proxy", retry: "never", summary: "the lease is held by another" },
  certificate_not_found: { status: 404, blame: "client", retry: "never", summary: "there is no such certificate" },
  certificate_invalid: { status: 422, blame: "client", retry: "never", summary: "the certificate or its key cannot be used" },
  secret_unavailable: { status: 503, blame: "proxy", retry: "never", summary: "the secret that private keys are sealed with is not here" },
  certificate_unavailable: { status: 503, blame: "proxy", retry: "never", summary: "no certificate could be had for this name" },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** Every failure of Kittiwake's own. Foreign errors are translated once, at the boundary, and kept as `cause`. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string = ERRORS[code].summary, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get blame(): Blame {
    return ERRORS[this.code].blame;
  }

  get retry(): Retry {
    return ERRORS[this.code].retry;
  }
}
