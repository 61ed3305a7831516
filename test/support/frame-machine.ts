// A machine that speaks HTTP/2 without TLS and sends exactly the frames that a test wants, right or wrong. It reads requests, acknowledges
// SETTINGS, and notes what the edge must not do; all else is the script's.

import type { Socket } from "node:net";
import { startRawBackend, type Backend } from "./backend.ts";
import { eventually } from "./eventually.ts";
import { FLAG, PREFACE, SETTING, TYPE, block, bytes, data, frame, headers, settings, type Bytes, type Field } from "./frames.ts";
import { HpackReader } from "./hpack-reader.ts";

export interface MachineRequest {
  readonly stream: number;
  readonly method: string;
  readonly path: string;
  readonly fields: readonly Field[];
  body: string;
  hasEnded: boolean;
  /** The code of RST_STREAM. */
  reset: number | null;
}

/** Called with every request as soon as its head is there. */
export type Script = (request: MachineRequest, connection: MachineConnection) => void;

export interface Greeting {
  /** In place of its SETTINGS. Default: empty ones. */
  readonly bytes?: Bytes;
  readonly next?: (connection: MachineConnection) => void;
}

export class MachineConnection {
  readonly socket: Socket;
  readonly requests: MachineRequest[] = [];
  /** What the edge must not do, and did. */
  readonly violations: string[] = [];
  /** The edge's settings, initial values where it has none. */
  readonly settings = new Map<number, number>([[SETTING.initialWindowSize, 65_535]]);
  /** By the edge, on all streams together. */
  granted = 65_535;
  goaway: number | null = null;
  hasEnded = false;
  /** Bytes of bodies that came. */
  bodyBytes = 0;
  pingAcks = 0;
  readonly #script: Script;
  readonly #hpack = new HpackReader();
  #rest: Buffer = Buffer.alloc(0);
  #hasPreface = false;
  readonly #hasGreeted: boolean;

  constructor(socket: Socket, script: Script, greeting: Greeting) {
    this.socket = socket;
    this.#script = script;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    for (const name of ["end", "close"] as const) {
      socket.on(name, () => {
        this.hasEnded = true;
        socket.end();
      });
    }
    const first = bytes(greeting.bytes ?? settings());
    this.#hasGreeted = first.length > 0;
    if (this.#hasGreeted) this.send(first);
    greeting.next?.(this);
  }

  send(...parts: readonly Bytes[]): this {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(bytes(...parts));
    return this;
  }

  /** A whole response. */
  answer(stream: number, body: string): this {
    return this.send(headers(stream, block([[":status", "200"]]), FLAG.endHeaders), data(stream, body));
  }

  #onChunk(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (!this.#hasPreface) {
      if (this.#rest.length < PREFACE.length) return;
      if (this.#rest.toString("latin1", 0, PREFACE.length) !== PREFACE) this.violations.push("no preface");
      this.#rest = this.#rest.subarray(PREFACE.length);
      this.#hasPreface = true;
    }
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) return;
      const payload = Buffer.from(this.#rest.subarray(9, 9 + length));
      const [type, flags, stream] = [this.#rest[3]!, this.#rest[4]!, this.#rest.readUInt32BE(5)];
      this.#rest = this.#rest.subarray(9 + length);
      this.#onFrame(type, flags, stream, payload);
    }
  }

  #onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    const request = this.requests.find((known) => known.stream === stream);
    if (type === TYPE.headers && request === undefined) return this.#onRequest(flags, stream, payload);
    if (type === TYPE.settings && (flags & FLAG.ack) === 0) {
      for (let at = 0; at < payload.length; at += 6) this.settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
      if (this.#hasGreeted) this.send(frame(TYPE.settings, FLAG.ack, 0));
    } else if (type === TYPE.windowUpdate && stream === 0) this.granted += payload.readUInt32BE(0);
    else if (type === TYPE.goaway) this.goaway = payload.readUInt32BE(4);
    else if (type === TYPE.ping && (flags & FLAG.ack) !== 0) this.pingAcks++;
    else if (type === TYPE.rstStream && request !== undefined) request.reset = payload.readUInt32BE(0);
    else if (type === TYPE.data) this.#onData(request, flags, payload);
  }

  #onRequest(flags: number, stream: number, payload: Buffer): void {
    if ((flags & FLAG.endHeaders) === 0) throw new Error("a request in several frames");
    const fields = this.#hpack.read(payload);
    const named = (wanted: string): string => fields.find(([name]) => name === wanted)?.[1] ?? "";
    const hasEnded = (flags & FLAG.endStream) !== 0;
    const request: MachineRequest = { stream, method: named(":method"), path: named(":path"), fields, body: "", hasEnded, reset: null };
    this.requests.push(request);
    this.#script(request, this);
  }

  #onData(request: MachineRequest | undefined, flags: number, payload: Buffer): void {
    if (request === undefined || request.hasEnded) this.violations.push("DATA where none can be");
    else {
      request.body += payload.toString("latin1");
      request.hasEnded = (flags & FLAG.endStream) !== 0;
    }
    this.bodyBytes += payload.length;
  }
}

interface State {
  script: Script;
  greeting: Greeting;
}

export class FrameMachine implements AsyncDisposable {
  readonly connections: MachineConnection[] = [];
  readonly #backend: Backend;
  readonly #state: State;

  private constructor(backend: Backend, connections: MachineConnection[], state: State) {
    this.#backend = backend;
    this.connections = connections;
    this.#state = state;
  }

  static async start(): Promise<FrameMachine> {
    const connections: MachineConnection[] = [];
    const state: State = { script: well, greeting: {} };
    const backend = await startRawBackend((socket) => {
      connections.push(new MachineConnection(socket, (request, connection) => state.script(request, connection), state.greeting));
    });
    return new FrameMachine(backend, connections, state);
  }

  get port(): number {
    return this.#backend.port;
  }

  /** All requests since the script began, in order of arrival on each connection. */
  get requests(): readonly MachineRequest[] {
    return this.connections.flatMap(({ requests }) => requests);
  }

  /** Begins another script; connections that stand are closed, and the edge has noticed. */
  async plays(script: Script, greeting: Greeting = {}): Promise<void> {
    const isOver = (): boolean => {
      for (const { socket } of this.connections) socket.resume().end();
      return this.connections.every(({ hasEnded }) => hasEnded);
    };
    await eventually(isOver, "the edge to close its connections");
    this.connections.length = 0;
    this.#state.script = script;
    this.#state.greeting = greeting;
  }

  /** How connections that are made from now on begin. */
  greets(greeting: Greeting): void {
    this.#state.greeting = greeting;
  }

  /** Resolves with the request for a path as soon as its head is there. */
  async request(path: string): Promise<MachineRequest> {
    await eventually(() => this.requests.some((known) => known.path === path), `a request for ${path}`);
    return this.requests.find((known) => known.path === path)!;
  }

  /** The connection that carried the last request for a path. */
  carrier(path: string): MachineConnection | undefined {
    return this.connections.findLast(({ requests }) => requests.some((known) => known.path === path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend[Symbol.asyncDispose]();
  }
}

/** Answers with what was asked for. */
export function well({ stream, path }: MachineRequest, connection: MachineConnection): void {
  connection.answer(stream, `well ${path}`);
}
