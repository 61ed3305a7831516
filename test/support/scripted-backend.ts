// A machine that answers with whatever bytes a test wants, and remembers every request and connection it got.

import { eventually } from "./eventually.ts";
import { startRawBackend } from "./backend.ts";
import type { Message } from "./message.ts";
import { RawClient } from "./raw-client.ts";

/** What to write for a request; null writes nothing, and leaves it to the test. */
export type Answer = (request: Message, connection: RawClient) => string | Buffer | null;

export class ScriptedBackend implements AsyncDisposable {
  readonly port: number;
  readonly #close: () => Promise<void>;
  readonly #state: State;

  private constructor(port: number, state: State, close: () => Promise<void>) {
    this.port = port;
    this.#state = state;
    this.#close = close;
  }

  static async start(answer: Answer = ok): Promise<ScriptedBackend> {
    const state: State = { answer, requests: [], connections: [] };
    const raw = await startRawBackend((socket) => {
      const connection = RawClient.of(socket);
      state.connections.push(connection);
      void serve(state, connection);
    });
    return new ScriptedBackend(raw.port, state, async () => await raw[Symbol.asyncDispose]());
  }

  /** Every whole request since the script began, in order of arrival. */
  get requests(): readonly Message[] {
    return this.#state.requests;
  }

  /** Every connection since the script began. */
  get connections(): readonly RawClient[] {
    return this.#state.connections;
  }

  /** How many connections stand now. */
  get open(): number {
    return this.#state.connections.filter(({ socket }) => !socket.destroyed && !socket.readableEnded).length;
  }

  /** Begins another script. Connections that rest are closed, so that nothing of the one before is left. */
  async answers(answer: Answer): Promise<void> {
    for (const { socket } of this.#state.connections) socket.destroy();
    this.#state.answer = answer;
    this.#state.requests = [];
    this.#state.connections = [];
  }

  /** From now on answers in another way, over the connections that stand. */
  continuesWith(answer: Answer): void {
    this.#state.answer = answer;
  }

  /** Resolves with the connection number `index` as soon as it is there. */
  async connection(index = 0): Promise<RawClient> {
    await eventually(() => this.connections.length > index, "a connection to the backend");
    return this.connections[index]!;
  }

  /** Resolves with the whole request number `index` as soon as it is there. */
  async request(index = 0): Promise<Message> {
    await eventually(() => this.requests.length > index, "a request at the backend");
    return this.requests[index]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

interface State {
  answer: Answer;
  requests: Message[];
  connections: RawClient[];
}

async function serve(state: State, connection: RawClient): Promise<void> {
  const { requests } = state;
  for (;;) {
    const request = await connection.request().catch(() => null);
    if (request === null) return;
    requests.push(request);
    const bytes = state.answer(request, connection);
    if (bytes !== null) connection.send(bytes);
    // A tunnel or a broken connection is the test's from here on.
    if (bytes === null) return;
  }
}

/** A whole response with a length. */
export function response(body: string, lines: readonly string[] = [], status = "200 OK"): string {
  return `HTTP/1.1 ${status}\r\n${lines.map((line) => `${line}\r\n`).join("")}content-length: ${body.length}\r\n\r\n${body}`;
}

function ok(request: Message): string {
  return response(`${request.method} ${request.target}`);
}
