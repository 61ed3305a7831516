// What ends an HTTP/2 connection: a protocol violation that leaves the two ends without a common state (RFC 9113 section 5.4.1).

/** Error codes of RFC 9113 section 7. */
export const H2_ERROR = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

/** The peer's fault: the connection ends with GOAWAY and this code. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** One of `H2_ERROR`. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
