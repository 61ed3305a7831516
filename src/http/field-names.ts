// Hot path. The header fields that mean something to an edge, recognised from bytes without making a string.

/** Ids of known field names; 0 is any other name. */
export const FIELD = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  te: 5,
  trailer: 6,
  upgrade: 7,
  expect: 8,
  keepAlive: 9,
  proxyConnection: 10,
  proxyAuthenticate: 11,
  proxyAuthorization: 12,
  http2Settings: 13,
  via: 14,
  server: 15,
  date: 16,
  userAgent: 17,
  xForwardedFor: 18,
  xForwardedProto: 19,
  xForwardedPort: 20,
  xForwardedSsl: 21,
  xRequestStart: 22,
  flyClientIp: 23,
  flyForwardedPort: 24,
  flyForwardedProto: 25,
  flyForwardedSsl: 26,
  flyRegion: 27,
  flyRequestId: 28,
  flyTraceparent: 29,
  flyTracestate: 30,
  flyReplaySrc: 31,
  flyReplayFailed: 32,
  flyReplayCacheStatus: 33,
  flyPreferredInstanceUnavailable: 34,
  flySrc: 35,
  flySrcSignature: 36,
  flyDispatchStart: 37,
  /** Of no name: a field that goes no further because this node does not take its kind. */
  withheld: 38,
  cookie: 39,
  clientCert: 40,
  clientCertChain: 41,
  xClientCert: 42,
  xClientCertVerify: 43,
  xClientCertSubject: 44,
  xClientCertIssuer: 45,
  xClientCertSerial: 46,
  xClientCertNotAfter: 47,
  xClientCertFingerprint: 48,
  xClientCertSan: 49,
  strictTransportSecurity: 50,
  kittiwakeBusy: 51,
  /** All by which a client says where it wants to be served, and whether a replay may be remembered for it: they are rare together. */
  flySteering: 52,
  /** All by which a machine asks for a replay. */
  flyReplay: 53,
  contentType: 54,
} as const;

const NAMES: Readonly<Record<string, number>> = {
  host: FIELD.host,
  connection: FIELD.connection,
  "content-length": FIELD.contentLength,
  "transfer-encoding": FIELD.transferEncoding,
  te: FIELD.te,
  trailer: FIELD.trailer,
  upgrade: FIELD.upgrade,
  expect: FIELD.expect,
  "keep-alive": FIELD.keepAlive,
  "proxy-connection": FIELD.proxyConnection,
  "proxy-authenticate": FIELD.proxyAuthenticate,
  "proxy-authorization": FIELD.proxyAuthorization,
  "http2-settings": FIELD.http2Settings,
  via: FIELD.via,
  server: FIELD.server,
  date: FIELD.date,
  "user-agent": FIELD.userAgent,
  "x-forwarded-for": FIELD.xForwardedFor,
  "x-forwarded-proto": FIELD.xForwardedProto,
  "x-forwarded-port": FIELD.xForwardedPort,
  "x-forwarded-ssl": FIELD.xForwardedSsl,
  "x-request-start": FIELD.xRequestStart,
  "fly-client-ip": FIELD.flyClientIp,
  "fly-forwarded-port": FIELD.flyForwardedPort,
  "fly-forwarded-proto": FIELD.flyForwardedProto,
  "fly-forwarded-ssl": FIELD.flyForwardedSsl,
  "fly-region": FIELD.flyRegion,
  "fly-request-id": FIELD.flyRequestId,
  "fly-traceparent": FIELD.flyTraceparent,
  "fly-tracestate": FIELD.flyTracestate,
  "fly-replay-src": FIELD.flyReplaySrc,
  "fly-replay-failed": FIELD.flyReplayFailed,
  "fly-replay-cache-status": FIELD.flyReplayCacheStatus,
  "fly-preferred-instance-unavailable": FIELD.flyPreferredInstanceUnavailable,
  "fly-src": FIELD.flySrc,
  "fly-src-signature": FIELD.flySrcSignature,
  "fly-dispatch-start": FIELD.flyDispatchStart,
  cookie: FIELD.cookie,
  "client-cert": FIELD.clientCert,
  "client-cert-chain": FIELD.clientCertChain,
  "x-client-cert": FIELD.xClientCert,
  "x-client-cert-verify": FIELD.xClientCertVerify,
  "x-client-cert-subject": FIELD.xClientCertSubject,
  "x-client-cert-issuer": FIELD.xClientCertIssuer,
  "x-client-cert-serial": FIELD.xClientCertSerial,
  "x-client-cert-not-after": FIELD.xClientCertNotAfter,
  "x-client-cert-fingerprint": FIELD.xClientCertFingerprint,
  "x-client-cert-san": FIELD.xClientCertSan,
  "strict-transport-security": FIELD.strictTransportSecurity,
  "kittiwake-busy": FIELD.kittiwakeBusy,
  "fly-prefer-region": FIELD.flySteering,
  "fly-force-region": FIELD.flySteering,
  "fly-prefer-instance-id": FIELD.flySteering,
  "fly-force-instance-id": FIELD.flySteering,
  "fly-replay-cache-control": FIELD.flySteering,
  "content-type": FIELD.contentType,
  "fly-replay": FIELD.flyReplay,
  "fly-replay-cache": FIELD.flyReplay,
  "fly-replay-cache-ttl-secs": FIELD.flyReplay,
  "fly-replay-cache-allow-bypass": FIELD.flyReplay,
};

/** One more than the highest id. */
export const FIELD_COUNT = Object.keys(FIELD).length;

interface Candidate {
  readonly id: number;
  /** Of two names of one length the last bytes differ more often than the first. */
  readonly last: number;
  readonly bytes: Uint8Array;
}

const BY_LENGTH: readonly (readonly Candidate[])[] = indexByLength();

/** The id of the field name at `buffer[start, end)`, in any case. The bytes must be a valid token (RFC 9110, 5.6.2). */
export function fieldId(buffer: Uint8Array, start: number, end: number): number {
  const candidates = BY_LENGTH[end - start];
  if (candidates === undefined) return FIELD.other;
  // Among token characters, setting bit 5 changes only the case of letters for every name in the table.
  const last = buffer[end - 1]! | 0x20;
  for (let c = 0; c < candidates.length; c++) {
    const candidate = candidates[c]!;
    if (candidate.last !== last) continue;
    const { bytes } = candidate;
    let i = 0;
    while (i < bytes.length && (buffer[start + i]! | 0x20) === bytes[i]) i++;
    if (i === bytes.length) return candidate.id;
  }
  return FIELD.other;
}

function indexByLength(): Candidate[][] {
  const longest = Math.max(...Object.keys(NAMES).map((name) => name.length));
  const table: Candidate[][] = Array.from({ length: longest + 1 }, () => []);
  for (const [name, id] of Object.entries(NAMES)) {
    const bytes = new Uint8Array(Buffer.from(name, "latin1"));
    table[name.length]!.push({ id, last: bytes.at(-1)!, bytes });
  }
  return table;
}
