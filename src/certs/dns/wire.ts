// Names and records on the wire (RFC 1035 section 4.1), as far as a signed update needs them: dns-packet has no UPDATE classes, and does
// not say where in a message a record stands.

const HEADER_BYTES = 12;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;

export interface WireRecord {
  readonly name: string;
  readonly type: number;
  readonly recordClass: number;
  readonly ttlS: number;
  readonly data: Buffer;
}

/** One that was read, and where it begins. */
export interface PlacedRecord extends WireRecord {
  readonly offset: number;
}

/** In lower case and uncompressed, the canonical form of RFC 8945 section 4.3.3. Throws a RangeError for what is no name. */
export function encodeName(name: string): Buffer {
  const labels = name === "." || name === "" ? [] : name.toLowerCase().replace(/\.$/, "").split(".");
  const parts = labels.flatMap((label) => {
    const bytes = Buffer.from(label, "latin1");
    if (bytes.length === 0 || bytes.length > MAX_LABEL_BYTES) throw new RangeError(`"${name}" is no name in DNS`);
    return [Buffer.of(bytes.length), bytes];
  });
  const encoded = Buffer.concat([...parts, Buffer.of(0)]);
  if (encoded.length > MAX_NAME_BYTES) throw new RangeError(`"${name}" is too long for a name in DNS`);
  return encoded;
}

export function encodeRecord({ name, type, recordClass, ttlS, data }: WireRecord): Buffer {
  const fields = Buffer.alloc(10);
  fields.writeUInt16BE(type, 0);
  fields.writeUInt16BE(recordClass, 2);
  fields.writeUInt32BE(ttlS, 4);
  fields.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fields, data]);
}

/** All records behind the questions. Throws a RangeError for what is no message. */
export function readRecords(message: Buffer): PlacedRecord[] {
  let at = HEADER_BYTES;
  for (let questions = message.readUInt16BE(4); questions > 0; questions--) at = readName(message, at).end + 4;
  const count = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  const records: PlacedRecord[] = [];
  while (records.length < count) {
    const offset = at;
    const { name, end } = readName(message, offset);
    const dataAt = end + 10;
    at = dataAt + message.readUInt16BE(end + 8);
    if (at > message.length) throw new RangeError("a record is longer than the message");
    records.push({
      offset,
      name,
      type: message.readUInt16BE(end),
      recordClass: message.readUInt16BE(end + 2),
      ttlS: message.readUInt32BE(end + 4),
      data: message.subarray(dataAt, at),
    });
  }
  return records;
}

/** In lower case. Compression points backwards only, so this ends. */
export function readName(message: Buffer, offset: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let end: number | null = null;
  let limit = offset;
  let length = 0;
  for (let at = offset; ;) {
    const first = message.readUInt8(at);
    if (first >= 0xc0) {
      end ??= at + 2;
      at = message.readUInt16BE(at) & 0x3fff;
      if (at >= limit) throw new RangeError("a name is compressed to one that does not stand before it");
      limit = at;
    } else if (first > MAX_LABEL_BYTES) throw new RangeError("a label is of a kind that does not exist");
    else {
      at++;
      if (first === 0) return { name: labels.length === 0 ? "." : labels.join("."), end: end ?? at };
      length += first + 1;
      if (length >= MAX_NAME_BYTES || at + first > message.length) throw new RangeError("a name is too long");
      labels.push(message.toString("latin1", at, at + first).toLowerCase());
      at += first;
    }
  }
}
