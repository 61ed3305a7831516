// HTTP/2 frames and header blocks as a test writes them: any bytes, right or wrong. Written from RFC 9113 and RFC 7541 alone, so that it can
// judge what is in src/http/http2.

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;
const END = FLAG.endStream | FLAG.endHeaders;

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

export const CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
} as const;

export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
export const HIGHEST_STREAM = 0x7fff_ffff;

export type Bytes = Buffer | string | readonly number[];
export type Field = readonly [name: string, value: string];

export function bytes(...parts: readonly Bytes[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (part instanceof Uint8Array ? part : typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part))),
  );
}

export function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
}

/** A frame whose length says what it holds, unless told otherwise. */
export function frame(type: number, flags: number, stream: number, payload: Bytes = "", length?: number): Buffer {
  const body = bytes(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(length ?? body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, body]);
}

export const data = (stream: number, payload: Bytes, flags: number = FLAG.endStream): Buffer => frame(TYPE.data, flags, stream, payload);
export const headers = (stream: number, block: Bytes, flags: number = END): Buffer => frame(TYPE.headers, flags, stream, block);
export const continuation = (stream: number, block: Bytes, flags: number = FLAG.endHeaders): Buffer =>
  frame(TYPE.continuation, flags, stream, block);
export const rstStream = (stream: number, code: number = CODE.cancel): Buffer => frame(TYPE.rstStream, 0, stream, uint32(code));
export const ping = (payload: Bytes = "12345678", flags = 0): Buffer => frame(TYPE.ping, flags, 0, payload);
export const windowUpdate = (stream: number, increment: number): Buffer => frame(TYPE.windowUpdate, 0, stream, uint32(increment));
export const goaway = (last = 0, code: number = CODE.noError, debug: Bytes = ""): Buffer =>
  frame(TYPE.goaway, 0, 0, bytes(uint32(last), uint32(code), debug));
export const settings = (...pairs: readonly (readonly [id: number, value: number])[]): Buffer =>
  frame(TYPE.settings, 0, 0, bytes(...pairs.flatMap(([id, value]) => [[id >> 8, id & 0xff], uint32(value)])));
export const priority = (stream: number, dependsOn = 0, weight = 15): Buffer =>
  frame(TYPE.priority, 0, stream, bytes(uint32(dependsOn), [weight]));

/** The payload of a frame with the padding flag. */
export function padded(payload: Bytes, length: number, padding: Bytes = Buffer.alloc(length)): Buffer {
  return bytes([length], payload, padding);
}

/** An integer with a prefix of so many bits (RFC 7541 section 5.1). `first` holds the bits above the prefix. */
export function integer(value: number, prefix: number, first = 0): Buffer {
  const most = 2 ** prefix - 1;
  if (value < most) return bytes([first | value]);
  const octets = [first | most];
  let left = value - most;
  for (; left >= 128; left = Math.floor(left / 128)) octets.push((left % 128) | 0x80);
  return bytes([...octets, left]);
}

/** A string as it is. */
export function text(value: Bytes): Buffer {
  const octets = bytes(value);
  return bytes(integer(octets.length, 7), octets);
}

/** A string said to be in Huffman coding. */
export function huffman(octets: Bytes): Buffer {
  const coded = bytes(octets);
  return bytes(integer(coded.length, 7, 0x80), coded);
}

export const indexed = (index: number): Buffer => integer(index, 7, 0x80);
export const tableSize = (size: number): Buffer => integer(size, 5, 0x20);
/** A literal with a new name that no table remembers. */
export const literal = (name: Bytes, value: Bytes): Buffer => bytes([0x00], text(name), text(value));
export const neverIndexed = (name: Bytes, value: Bytes): Buffer => bytes([0x10], text(name), text(value));
/** A literal that is put into the dynamic table, where it is number 62. */
export const remembered = (name: Bytes, value: Bytes): Buffer => bytes([0x40], text(name), text(value));

export function block(fields: readonly Field[]): Buffer {
  return bytes(...fields.map(([name, value]) => literal(name, value)));
}
