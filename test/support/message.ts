// Just enough HTTP/1.1 to tell messages apart in the bytes that a test received. It is no judge of them: what the edge sends is looked at
// byte by byte where that matters.

export class Message {
  /** Request line or status line. */
  readonly startLine: string;
  /** In order of arrival, names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Without its framing. */
  readonly body: string;
  readonly framing: "none" | "length" | "chunked" | "close";
  /** The bytes of the whole message. */
  readonly raw: string;
  /** The lines behind the last chunk, as they came. */
  readonly trailers: readonly string[];

  constructor(
    startLine: string,
    fields: Message["fields"],
    body: string,
    framing: Message["framing"],
    raw: string,
    trailers: readonly string[] = [],
  ) {
    this.startLine = startLine;
    this.fields = fields;
    this.body = body;
    this.framing = framing;
    this.raw = raw;
    this.trailers = trailers;
  }

  /** Of a response. */
  get status(): number {
    return Number(this.startLine.split(" ")[1]);
  }

  get method(): string {
    return this.startLine.split(" ")[0]!;
  }

  get target(): string {
    return this.startLine.split(" ")[1]!;
  }

  /** The values of all fields with this name. */
  all(name: string): string[] {
    return this.fields.filter(([known]) => known === name).map(([, value]) => value);
  }

  /** The value of the one field with this name; null when there is none. Throws when there are several. */
  header(name: string): string | null {
    const values = this.all(name);
    if (values.length > 1) throw new Error(`"${name}" comes ${values.length} times in ${JSON.stringify(this.raw)}`);
    return values[0] ?? null;
  }
}

export interface ReadOptions {
  readonly type: "request" | "response";
  /** The response is to a HEAD request. */
  readonly toHead?: boolean;
  /** Nothing more will come. */
  readonly hasEnded?: boolean;
}

/** The message at the beginning of `text`, or null while it is not complete. */
export function readMessage(text: string, options: ReadOptions): Message | null {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return null;
  const [startLine, ...lines] = text.slice(0, headEnd).split("\r\n");
  const fields = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  const bodyStart = headEnd + 4;
  const made = (body: string, framing: Message["framing"], end: number, trailers?: readonly string[]): Message =>
    new Message(startLine!, fields, body, framing, text.slice(0, end), trailers);

  const status = options.type === "response" ? Number(startLine!.split(" ")[1]) : 0;
  const isBodyless = options.toHead === true || (status >= 100 && status < 200) || status === 204 || status === 304;
  if (isBodyless) return made("", "none", bodyStart);
  if (fields.some(([name]) => name === "transfer-encoding")) {
    const chunked = readChunks(text, bodyStart);
    return chunked === null ? null : made(chunked.body, "chunked", chunked.end, chunked.trailers);
  }
  const length = fields.find(([name]) => name === "content-length")?.[1];
  if (length !== undefined) {
    const end = bodyStart + Number(length);
    return text.length < end ? null : made(text.slice(bodyStart, end), "length", end);
  }
  if (options.type === "request") return made("", "none", bodyStart);
  return options.hasEnded === true ? made(text.slice(bodyStart), "close", text.length) : null;
}

interface Chunked {
  readonly body: string;
  readonly trailers: readonly string[];
  readonly end: number;
}

function readChunks(text: string, start: number): Chunked | null {
  const parts: string[] = [];
  for (let position = start; ;) {
    const lineEnd = text.indexOf("\r\n", position);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(text.slice(position, lineEnd), 16);
    if (size === 0) {
      // Right behind the line of the last chunk, or behind the last trailer.
      const end = text.indexOf("\r\n\r\n", lineEnd);
      const trailers = text.slice(lineEnd + 2, end).split("\r\n");
      return end === -1 ? null : { body: parts.join(""), trailers: end === lineEnd ? [] : trailers, end: end + 4 };
    }
    const next = lineEnd + 2 + size + 2;
    if (text.length < next) return null;
    parts.push(text.slice(lineEnd + 2, lineEnd + 2 + size));
    position = next;
  }
}
