// A client of HTTP/2 that sends exactly the bytes that it is told to, keeps every frame that comes back, and notes whatever no server may
// do. It acknowledges SETTINGS and PING; all else is left to the test.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { CODE, FLAG, PREFACE, SETTING, TYPE, bytes, frame, ping, settings, windowUpdate, type Bytes, type Field } from "./frames.ts";
import { HpackReader } from "./hpack-reader.ts";

const DEADLINE_MS = 10_000;
/** Fields that have no place in HTTP/2 (RFC 9113 section 8.2.2). */
const CONNECTION_FIELDS = new Set(["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]);

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** What came on a stream. */
export interface Received {
  /** Interim responses. */
  readonly interims: Field[][];
  fields: Field[] | null;
  trailers: Field[] | null;
  body: Buffer;
  hasEnded: boolean;
  /** The code of RST_STREAM. */
  reset: number | null;
}

export interface FrameClientOptions extends ConnectionOptions {
  /** What the client says of itself in its first frame. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
}

export class FrameClient implements Disposable {
  readonly frames: Frame[] = [];
  /** What a server must not do, and did. */
  readonly violations: string[] = [];
  /** The server's settings. */
  readonly settings = new Map<number, number>();
  /** Of the last GOAWAY. */
  goaway: { readonly lastStream: number; readonly code: number } | null = null;
  hasEnded = false;
  readonly alpn: string | false | null;
  readonly #socket: Socket;
  readonly #hpack = new HpackReader();
  readonly #streams = new Map<number, Received>();
  readonly #windows = new Map<number, number>([[0, 65_535]]);
  #initialWindow = 65_535;
  #maxFrame = 16_384;
  /** Sent, and not acknowledged: what each of them changes then. */
  readonly #pending: (() => void)[] = [];
  #isConfigured = false;
  #unacknowledged = 0;
  #acknowledged = 0;
  #pings = 0;
  #rest = Buffer.alloc(0);
  #block: { readonly stream: number; readonly flags: number; readonly parts: Buffer[] } | null = null;
  #next = Promise.withResolvers<void>();

  private constructor(socket: Socket, alpn: string | false | null) {
    this.#socket = socket;
    this.alpn = alpn;
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("error", () => {});
    for (const name of ["end", "close"] as const) {
      socket.on(name, () => {
        this.hasEnded = true;
        this.#wake();
      });
    }
  }

  /** Connects and says nothing. */
  static async connect(port: number, options: FrameClientOptions = {}): Promise<FrameClient> {
    const { settings: _, ...rest } = options;
    const raw = connect({ port, host: "127.0.0.1", noDelay: true });
    const socket = connectTls({ socket: raw, ALPNProtocols: ["h2"], ...rest });
    const failed = once(raw, "close").then(() => {
      throw new Error("the handshake failed");
    });
    failed.catch(() => {});
    await Promise.race([once(socket, "secureConnect"), failed]);
    return new FrameClient(socket, socket.alpnProtocol);
  }

  /** Connects, and both sides know the settings of the other. */
  static async open(port: number, options: FrameClientOptions = {}): Promise<FrameClient> {
    const client = await FrameClient.connect(port, options);
    client.send(PREFACE).configure(...(options.settings ?? []));
    await client.untilConfigured();
    return client;
  }

  send(...parts: readonly Bytes[]): this {
    if (this.#socket.writable) this.#socket.write(bytes(...parts));
    return this;
  }

  /** Resolves when the network has taken what was sent, or the connection has ended. */
  async taken(): Promise<void> {
    const untilMs = performance.now() + DEADLINE_MS;
    this.#socket.once("drain", () => this.#wake());
    while (this.#socket.writableNeedDrain && !this.hasEnded) await this.#news(untilMs, "the network to take what was sent");
  }

  /** Ends its side of the connection. */
  end(): this {
    this.#socket.end();
    return this;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends SETTINGS, and holds the server to them. */
  configure(...pairs: readonly (readonly [id: number, value: number])[]): this {
    const inForce: (() => void)[] = [];
    for (const [id, value] of pairs) {
      if (id === SETTING.headerTableSize) inForce.push(() => this.#hpack.setLimit(value));
      if (id === SETTING.maxFrameSize) (value > this.#maxFrame ? now : later)(() => (this.#maxFrame = value));
      if (id === SETTING.initialWindowSize) (value > this.#initialWindow ? now : later)(() => this.#setInitialWindow(value));
    }
    this.#pending.push(() => inForce.forEach((change) => change()));
    this.#isConfigured = true;
    this.send(settings(...pairs)).#acknowledge();
    return this;

    /** What allows more may be used before the acknowledgement arrives. */
    function now(change: () => void): void {
      change();
    }
    function later(change: () => void): void {
      inForce.push(change);
    }
  }

  /** SETTINGS are sent as bytes: so many acknowledgements may come. */
  awaitAcknowledgements(count: number): this {
    for (let i = 0; i < count; i++) this.#pending.push(() => {});
    this.#isConfigured = true;
    return this;
  }

  /** Sends WINDOW_UPDATE, and holds the server to it. */
  grant(stream: number, increment: number): this {
    this.#windows.set(stream, this.#window(stream) + increment);
    return this.send(windowUpdate(stream, increment));
  }

  /** All that the server has allowed to be sent on a stream since its beginning, or on the connection. */
  granted(stream: number): number {
    const initial = stream === 0 ? 65_535 : (this.settings.get(SETTING.initialWindowSize) ?? 65_535);
    return this.ofType(TYPE.windowUpdate).reduce(
      (sum, known) => sum + (known.stream === stream ? known.payload.readUInt32BE(0) : 0),
      initial,
    );
  }

  /** What came on a stream so far. */
  on(stream: number): Received {
    let received = this.#streams.get(stream);
    if (received === undefined) {
      received = { interims: [], fields: null, trailers: null, body: Buffer.alloc(0), hasEnded: false, reset: null };
      this.#streams.set(stream, received);
    }
    return received;
  }

  /** The status of the response on a stream, 0 while there is none. */
  status(stream: number): number {
    return Number(this.on(stream).fields?.find(([name]) => name === ":status")?.[1] ?? 0);
  }

  ofType(type: number): Frame[] {
    return this.frames.filter((known) => known.type === type);
  }

  /** Resolves as soon as something is so. Rejects when the connection ends before or it takes too long. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    const untilMs = performance.now() + DEADLINE_MS;
    while (!isSo()) {
      if (this.hasEnded) throw new Error(`the connection ended instead of ${what}; ${this.describe()}`);
      await this.#news(untilMs, what);
    }
  }

  async untilConfigured(): Promise<void> {
    await this.until(() => this.settings.size > 0 || this.ofType(TYPE.settings).length > 0, "SETTINGS");
    await this.until(() => this.#pending.length === 0, "the acknowledgement of SETTINGS");
  }

  /** Resolves when the server has dealt with all that was sent before. */
  async barrier(): Promise<void> {
    const payload = `barrier${this.#pings++ % 10}`;
    const before = this.#acknowledged;
    this.send(ping(payload));
    await this.until(() => this.#acknowledged > before, "the answer to PING");
  }

  /** Resolves when the stream is over, well or not. */
  async untilOver(stream: number): Promise<Received> {
    await this.until(() => this.on(stream).hasEnded || this.on(stream).reset !== null, `the end of stream ${stream}`);
    return this.on(stream);
  }

  async untilEnd(): Promise<void> {
    const untilMs = performance.now() + DEADLINE_MS;
    while (!this.hasEnded) await this.#news(untilMs, "the end of the connection");
  }

  /** What came, in short. */
  describe(): string {
    const names = Object.fromEntries(Object.entries(TYPE).map(([name, type]) => [type, name]));
    const last = this.frames.slice(-12).map(({ type, flags, stream, payload }) => {
      return `${names[type] ?? type}(${stream}, ${flags}, ${payload.subarray(0, 16).toString("hex")})`;
    });
    return `${this.frames.length} frames, last ${last.join(" ")}${this.hasEnded ? ", and the end" : ""}`;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #news(untilMs: number, what: string): Promise<void> {
    const timer = setTimeout(() => this.#wake(), Math.max(0, untilMs - performance.now()));
    await this.#next.promise;
    clearTimeout(timer);
    if (performance.now() >= untilMs) throw new Error(`waited in vain for ${what}; ${this.describe()}`);
  }

  /** Whoever waits for news, however many they are. */
  #wake(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }

  #onChunk(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) break;
      const payload = Buffer.from(this.#rest.subarray(9, 9 + length));
      const next: Frame = { type: this.#rest[3]!, flags: this.#rest[4]!, stream: this.#rest.readUInt32BE(5) & 0x7fff_ffff, payload };
      this.#rest = this.#rest.subarray(9 + length);
      try {
        this.#onFrame(next);
      } catch (error) {
        this.violations.push(`${(error as Error).message} in ${JSON.stringify(next.payload.toString("hex").slice(0, 200))}`);
      }
    }
    this.#wake();
  }

  #onFrame(received: Frame): void {
    const { type, flags, stream, payload } = received;
    if (this.frames.length === 0 && (type !== TYPE.settings || (flags & FLAG.ack) !== 0))
      this.violations.push("the first frame is not SETTINGS");
    this.frames.push(received);
    if (payload.length > this.#maxFrame) this.violations.push(`a frame of ${payload.length} bytes`);
    if (this.#block !== null && (type !== TYPE.continuation || stream !== this.#block.stream))
      this.violations.push("a frame within a header block");
    switch (type) {
      case TYPE.data:
        return this.#onData(stream, flags, payload);
      case TYPE.headers:
        this.#block = { stream, flags, parts: [unpadded(flags, payload)] };
        return this.#onBlock(flags);
      case TYPE.continuation:
        if (this.#block === null) throw new Error("CONTINUATION of nothing");
        this.#block.parts.push(payload);
        return this.#onBlock(flags);
      case TYPE.rstStream:
        if (this.on(stream).reset !== null) this.violations.push(`RST_STREAM on stream ${stream} a second time`);
        this.on(stream).reset = payload.readUInt32BE(0);
        return;
      case TYPE.settings:
        return this.#onSettings(flags, payload);
      case TYPE.pushPromise:
        throw new Error("PUSH_PROMISE");
      case TYPE.ping:
        if ((flags & FLAG.ack) === 0) this.send(ping(payload, FLAG.ack));
        else this.#acknowledged++;
        return;
      case TYPE.goaway:
        this.goaway = { lastStream: payload.readUInt32BE(0) & 0x7fff_ffff, code: payload.readUInt32BE(4) };
        return;
      case TYPE.windowUpdate:
        if (payload.length !== 4 || payload.readUInt32BE(0) === 0) throw new Error("a malformed WINDOW_UPDATE");
    }
  }

  #onSettings(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ack) !== 0) {
      const change = this.#pending.shift();
      if (change === undefined) throw new Error("an acknowledgement of SETTINGS that were not sent");
      change();
      return;
    }
    for (let at = 0; at < payload.length; at += 6) this.settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    this.#unacknowledged++;
    this.#acknowledge();
  }

  /** Its own SETTINGS must come first. */
  #acknowledge(): void {
    if (!this.#isConfigured) return;
    for (; this.#unacknowledged > 0; this.#unacknowledged--) this.send(frame(TYPE.settings, FLAG.ack, 0));
  }

  #onData(stream: number, flags: number, payload: Buffer): void {
    const received = this.on(stream);
    if (received.fields === null || received.hasEnded || received.reset !== null)
      this.violations.push(`DATA on stream ${stream} where none can be`);
    for (const id of [0, stream]) {
      const left = this.#window(id) - payload.length;
      this.#windows.set(id, left);
      if (left < 0 && payload.length > 0) this.violations.push(`DATA beyond the window of ${id === 0 ? "the connection" : `stream ${id}`}`);
    }
    received.body = Buffer.concat([received.body, unpadded(flags, payload)]);
    received.hasEnded ||= (flags & FLAG.endStream) !== 0;
  }

  #onBlock(flags: number): void {
    if ((flags & FLAG.endHeaders) === 0) return;
    const { stream, flags: first, parts } = this.#block!;
    this.#block = null;
    const fields = this.#hpack.read(Buffer.concat(parts));
    const received = this.on(stream);
    const hasEnded = (first & FLAG.endStream) !== 0;
    if (stream % 2 === 0) this.violations.push(`HEADERS on stream ${stream}`);
    if (received.hasEnded || received.reset !== null) this.violations.push(`HEADERS on stream ${stream}, which is over`);
    this.#checkFields(fields, received.fields !== null);
    if (received.fields !== null) {
      received.trailers = fields;
      if (!hasEnded) this.violations.push("trailers that do not end their stream");
    } else if (fields[0]?.[1].startsWith("1") === true) {
      received.interims.push(fields);
      if (hasEnded) this.violations.push("an interim response that ends its stream");
    } else received.fields = fields;
    received.hasEnded ||= hasEnded;
  }

  #checkFields(fields: readonly Field[], areTrailers: boolean): void {
    const pseudo = fields.filter(([name]) => name.startsWith(":"));
    if (pseudo.length !== (areTrailers ? 0 : 1) || (!areTrailers && fields[0]?.[0] !== ":status"))
      this.violations.push("wrong pseudo-header fields");
    for (const [name, value] of fields) {
      if (/[^\x21-\x39\x3b-\x40\x5b-\x7e]/.test(name.replace(/^:/, ""))) this.violations.push(`a field named ${JSON.stringify(name)}`);
      if (CONNECTION_FIELDS.has(name)) this.violations.push(`a field of the connection: ${name}`);
      if (/[\0\r\n]|^[ \t]|[ \t]$/.test(value)) this.violations.push(`${name} with the value ${JSON.stringify(value)}`);
    }
  }

  #setInitialWindow(size: number): void {
    for (const [id, left] of this.#windows) if (id !== 0) this.#windows.set(id, left + size - this.#initialWindow);
    this.#initialWindow = size;
  }

  #window(stream: number): number {
    return this.#windows.get(stream) ?? this.#initialWindow;
  }
}

function unpadded(flags: number, payload: Buffer): Buffer {
  return (flags & FLAG.padded) === 0 ? payload : payload.subarray(1, payload.length - payload[0]!);
}

/** By name, for messages. */
export function nameOfCode(code: number | null | undefined): string {
  return Object.entries(CODE).find(([, known]) => known === code)?.[0] ?? String(code);
}
