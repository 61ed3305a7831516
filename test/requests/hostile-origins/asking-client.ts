// A client as the hostile-origin tests need it: asks one thing after another, and says what it saw of each answer without judging it.

import { head } from "../../support/edge.ts";
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
