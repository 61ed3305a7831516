// An admin server on a free port for a test, and requests to it with every header as the test wants it.

import { request } from "node:http";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";

import { pino } from "pino";

import { AdminServer } from "../../src/admin/server.ts";
import type { AdminServerOptions } from "../../src/admin/server.ts";
import type { Address } from "../../src/core/app.ts";
import { SampleControl } from "./sample-control.ts";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

export class RunningServer implements AsyncDisposable {
  readonly control: SampleControl;
  readonly address: Address;
  /** What it logged, a line an entry. */
  readonly logged: readonly string[];
  readonly #stop: AbortController;
  readonly #ended: Promise<void>;

  private constructor(control: SampleControl, address: Address, logged: readonly string[], stop: AbortController, ended: Promise<void>) {
    this.control = control;
    this.address = address;
    this.logged = logged;
    this.#stop = stop;
    this.#ended = ended;
  }

  static async start(options: Partial<AdminServerOptions> = {}): Promise<RunningServer> {
    const control = new SampleControl();
    const logged: string[] = [];
    const log = pino({ level: "debug" }, { write: (line: string) => void logged.push(line) });
    const server = new AdminServer({ listen: { host: "127.0.0.1", port: 0 }, token: null, control, log, ...options });
    const stop = new AbortController();
    const ended = server.run(stop.signal);
    return new RunningServer(control, await server.listening, logged, stop, ended);
  }

  get url(): string {
    return `http://${this.address.host}:${this.address.port}`;
  }

  ask(path: string, { method = "GET", headers = {}, body }: Ask = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { host, port } = this.address;
      const sent = request({ host, port, path, method, headers, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** The answer's status and its JSON. */
  async json(path: string, ask: Ask = {}): Promise<[status: number, body: unknown]> {
    const { status, text } = await this.ask(path, ask);
    return [status, JSON.parse(text)];
  }

  /** Rejects with what broke it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
