// A client as the hostile-origin tests need it: asks one thing after another, and says what it saw of each answer without judging it.

import assert from "node:assert/strict";
import { head, HOST } from "../../support/edge.ts";
import type { FrameClient } from "../../support/frame-client.ts";
import { block, data, FLAG, headers } from "../../support/frames.ts";
import type { RawClient } from "../../support/raw-client.ts";

export interface Seen {
  /** cut: the connection ended before the end of the response, which nobody can take for its end. */
  readonly kind: "whole" | "cut";
  readonly status: number;
  readonly body: string;
  /** The edge's own error. */
  readonly code: string | null;
  /** Interim responses before. */
  readonly interims: number;
}

export interface AskingClient extends Disposable {
  /** Everything that came, however it was encoded. */
  readonly received: string;
  /** Will it answer another request? */
  readonly isOpen: boolean;
  ask(method: string, target: string, lines?: readonly string[]): Promise<Seen>;
}

/** What a POST of these clients carries. */
const BODY = "name=value";

export class Http1AskingClient implements AskingClient {
  readonly #client: RawClient;
  #isOpen = true;

  constructor(client: RawClient) {
    this.#client = client;
  }

  get received(): string {
    return this.#client.received;
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#client.ended;
  }

  async ask(method: string, target: string, lines: readonly string[] = []): Promise<Seen> {
    const body = method === "POST" ? BODY : "";
    const framing = method === "POST" ? [`content-length: ${body.length}`] : [];
    this.#client.send(head(method, target, [...lines, ...framing]) + body);
    for (let interims = 0; ; interims++) {
      const answer = await this.#client.response({ toHead: method === "HEAD" }).catch(() => null);
      if (answer === null) {
        this.#isOpen = false;
        return { kind: "cut", status: 0, body: "", code: null, interims };
      }
      const { status } = answer;
      if (status < 200 && status !== 101) continue;
      this.#isOpen &&= answer.header("connection") === null;
      return { kind: "whole", status, body: answer.body, code: answer.header("kittiwake-error"), interims };
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

/** One connection carries everything, and outlives every failure of a machine. */
export class Http2AskingClient implements AskingClient {
  readonly isOpen = true;
  readonly #client: FrameClient;
  #stream = -1;

  constructor(client: FrameClient) {
    this.#client = client;
  }

  get received(): string {
    return Array.from({ length: (this.#stream + 1) / 2 }, (_, nth) => {
      const { interims, fields, body, trailers } = this.#client.on(1 + nth * 2);
      return `${JSON.stringify([interims, fields, trailers])} ${body.toString("latin1")}`;
    }).join("\n");
  }

  async ask(method: string, target: string): Promise<Seen> {
    const stream = (this.#stream += 2);
    const fields = block([
      [":method", method],
      [":scheme", "https"],
      [":authority", HOST],
      [":path", target],
    ]);
    if (method === "POST") this.#client.send(headers(stream, fields, FLAG.endHeaders), data(stream, BODY));
    else this.#client.send(headers(stream, fields));
    const answer = await this.#client.untilOver(stream);
    assert.deepEqual(this.#client.violations, []);
    const interims = answer.interims.length;
    if (!answer.hasEnded) return { kind: "cut", status: 0, body: "", code: null, interims };
    const code = answer.fields!.find(([name]) => name === "kittiwake-error")?.[1] ?? null;
    return { kind: "whole", status: this.#client.status(stream), body: answer.body.toString("latin1"), code, interims };
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}
