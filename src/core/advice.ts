// What whoever gets an error is told to do about it, one sentence a code. It is for people outside: what an operator can do is in
// docs/errors.md, and nothing here says how the app is run.

import type { ErrorCode } from "./errors.ts";

const AGAIN = "Try again in a few seconds.";
const LATER = "Try again later; if it stays so, tell the owner of this site.";

export const ADVICE: Readonly<Record<ErrorCode, string>> = {
  // What a client sent
  bad_request: "Correct the request: what could be read in two ways is refused.",
  bad_request_line: "Send a method, a target without spaces and HTTP/1.1; if you meant HTTPS, use the HTTPS port.",
  bad_header: "Correct the header fields: no space before the colon, no line breaks and no control bytes.",
  bad_framing: "Give the length of the body exactly once, by content-length or by chunked framing.",
  bad_host: "Send exactly one Host header with a valid name.",
  method_not_allowed: "Use another method.",
  request_timeout: "Send the request again, without long pauses.",
  body_too_large: "Send a smaller body, or several after one another.",
  target_too_long: "Use a shorter URL, and send long data in the body.",
  expectation_failed: "Leave the Expect header out, or make it 100-continue.",
  misdirected_request: "Use another connection, or another port of this host.",
  head_too_large: "Send fewer or shorter header fields; clearing the cookies of this site often helps.",
  version_not_supported: "Use HTTP/1.1.",
  protocol_not_supported: "Open a WebSocket, or use an ordinary request.",
  bad_stream: "Correct the request: what HTTP/2 does not allow is refused.",
  bad_connection: "Use a client that keeps to RFC 9113.",
  client_flood: "Send fewer frames that carry nothing, and cancel fewer requests.",
  client_closed: "Send the request again.",
  connection_idle: "Connect again, and send something now and then.",
  bad_proxy_header: "Begin the connection with a PROXY header, or connect from elsewhere.",
  tls_required: "Connect with TLS.",
  tls_unknown_name: "Check the name of the host.",
  client_certificate_required: "Use HTTPS, with the certificate that the owner of this site gave you.",
  client_certificate_refused: "Use the certificate that the owner of this site gave you; ask for another one if it has run out.",
  access_denied: "Come from a network that the owner of this site has let in.",
  rate_limited: "Make fewer requests, and wait for as long as retry-after says.",
  too_many_connections: "Use fewer connections at once.",
  too_many_wakes: "Wait for as long as retry-after says, or until the app is awake.",
  tls_handshake_failed: "Use TLS 1.2 or 1.3.",

  // What the edge decided
  unknown_host: "Check the address for a typing error.",
  no_machine: LATER,
  no_healthy_machine: LATER,
  total_timeout: LATER,
  at_capacity: AGAIN,
  queue_full: AGAIN,
  sessions_full: AGAIN,
  wake_failed: LATER,
  wake_timeout: AGAIN,
  draining: "Try again now: another server will answer.",
  attempts_exhausted: LATER,
  internal: "Try again; if it stays so, tell the owner of this site, with the request id.",

  // What a machine did
  connect_refused: LATER,
  connect_timeout: LATER,
  connect_failed: LATER,
  upstream_closed: LATER,
  upstream_reset: LATER,
  upstream_timeout: LATER,
  bad_response: "Tell the owner of this site, with the request id.",
  response_truncated: "Load the page again.",
  replay_malformed: "Tell the owner of this site, with the request id.",
  replay_loop: "Tell the owner of this site, with the request id.",
  replay_body_lost: "Send a smaller body, or tell the owner of this site.",
  replay_target_not_found: "Tell the owner of this site, with the request id.",
  replay_timeout: AGAIN,

  // Hosts and control plane
  app_not_found: "Check the name of the app.",
  machine_not_found: "Check the id of the machine.",
  machine_state: "Wait for the change under way, then try again.",
  not_supported: "Use what the driver of this machine can do.",
  spawn_failed: LATER,
  config_invalid: "Correct the configuration.",
  unauthorized: "Send a valid token.",
  forbidden: "Use the command line, or the admin address itself.",
  store_invalid: "Correct the key, value or number.",
  store_conflict: "Read the value again, then try again.",
  store_unavailable: LATER,
  store_compacted: "Read everything anew.",
  lease_lost: AGAIN,
  certificate_not_found: "Check the name for a typing error.",
  certificate_invalid: "Send a certificate that is valid, with the key that belongs to it.",
  secret_unavailable: LATER,
  certificate_unavailable: LATER,
};
