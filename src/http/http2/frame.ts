// What HTTP/2 frames are made of: types, flags, settings and sizes (RFC 9113 sections 4, 6 and 6.5.2).

export const FRAME = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const FLAG = {
  none: 0x0,
  /** Of DATA and HEADERS. */
  endStream: 0x1,
  /** Of SETTINGS and PING. */
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const SETTING = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  /** RFC 8441 section 3. */
  enableConnectProtocol: 0x8,
  /** RFC 9218 section 2.1. */
  noRfc7540Priorities: 0x9,
} as const;

export const FRAME_HEAD_BYTES = 9;
/** Of a stream and of the connection, until it is changed (RFC 9113 section 6.9.2). */
export const DEFAULT_WINDOW = 65_535;
export const HIGHEST_WINDOW = 2 ** 31 - 1;
export const HIGHEST_STREAM = 2 ** 31 - 1;
/** The smallest that SETTINGS_MAX_FRAME_SIZE can be, which is also its default; this side never announces more. */
export const DEFAULT_FRAME_BYTES = 16_384;
export const HIGHEST_FRAME_BYTES = 2 ** 24 - 1;

/** What a client says first (RFC 9113 section 3.4). */
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
