// ClientHellos made byte by byte: as long as a test wants, in as many records.

const HANDSHAKE = 22;
const LARGEST_RECORD = 16_384;

export interface HelloOptions {
  /** null: no server name. */
  readonly name?: string | Buffer | null;
  /** More extensions, as type and content. */
  readonly extensions?: readonly (readonly [type: number, content: Buffer])[];
  /** Bytes of padding (RFC 7685). */
  readonly padding?: number;
  readonly hasExtensions?: boolean;
}

/** The message, with its header. */
export function helloMessage({ name = null, extensions = [], padding = 0, hasExtensions = true }: HelloOptions): Buffer {
  const all: (readonly [number, Buffer])[] = [...extensions];
  if (name !== null) all.push([0, serverNameExtension(Buffer.from(name))]);
  if (padding > 0) all.push([21, Buffer.alloc(padding)]);
  const parts = all.map(([type, content]) => Buffer.concat([number(type, 2), vector(2, content)]));
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32, 9)),
    vector(2, Buffer.from([0x13, 0x01, 0x13, 0x02])),
    vector(1, Buffer.from([0])),
    ...(hasExtensions ? [vector(2, Buffer.concat(parts))] : []),
  ]);
  return Buffer.concat([Buffer.from([1]), vector(3, body)]);
}

/** In records of at most `size` bytes. */
export function inRecords(message: Buffer, size = LARGEST_RECORD): Buffer {
  const records: Buffer[] = [];
  for (let start = 0; start < message.length; start += size) {
    records.push(Buffer.from([HANDSHAKE, 3, 1]), vector(2, message.subarray(start, start + size)));
  }
  return Buffer.concat(records);
}

export function serverNameExtension(name: Buffer): Buffer {
  return vector(2, Buffer.concat([Buffer.from([0]), vector(2, name)]));
}

/** For ALPN (RFC 7301). */
export function protocolsExtension(protocols: readonly string[]): Buffer {
  return vector(2, Buffer.concat(protocols.map((protocol) => vector(1, Buffer.from(protocol)))));
}

export function vector(size: number, content: Buffer): Buffer {
  return Buffer.concat([number(content.length, size), content]);
}

function number(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
}
