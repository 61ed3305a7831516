// What most tests of the data plane need: a node with one app, `hello`, whose one machine is a scripted backend.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { staticApp } from "./backend.ts";
import { eventually } from "./eventually.ts";
import { startTestNode, type TestNode, type TestNodeOptions } from "./node.ts";
import { exchangeRaw, RawClient } from "./raw-client.ts";
import { ScriptedBackend } from "./scripted-backend.ts";

export const HOST = "hello.localhost";

export interface EdgeOptions extends Partial<TestNodeOptions> {
  /** Changes the app's fly.toml. */
  readonly edit?: (text: string) => string;
}

export class Edge implements AsyncDisposable {
  readonly test: TestNode;
  readonly backend: ScriptedBackend;

  constructor(test: TestNode, backend: ScriptedBackend) {
    this.test = test;
    this.backend = backend;
  }

  get port(): number {
    return this.test.httpPort;
  }

  /** A client's connection to the HTTP port. */
  connect(): Promise<RawClient> {
    return RawClient.connect(this.port);
  }

  /** All that comes back for these bytes until the edge closes the connection. */
  exchange(text: string | Buffer): Promise<string> {
    return exchangeRaw(this.port, text);
  }

  /** Requests in flight on the machine, over all workers. */
  get inFlight(): number {
    return this.test.node.control.inFlight("hello-1");
  }

  /** Resolves as soon as no place on the machine is taken any more. */
  untilReleased(): Promise<void> {
    return eventually(() => this.inFlight === 0, "the machine's places to be given back");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
    await this.test[Symbol.asyncDispose]();
  }
}

export async function startEdge(options: EdgeOptions = {}): Promise<Edge> {
  const backend = await ScriptedBackend.start();
  const { edit = (text) => text, ...node } = options;
  const test = await startTestNode({ ...node, apps: { hello: edit(staticApp("hello", backend.port)), ...node.apps } });
  await eventually(() => test.node.control.machines("hello").every(({ state }) => state === "started"), "the machine");
  return new Edge(test, backend);
}

/** The certificate that all of the node's certificates are signed with. */
export function rootOf(test: TestNode): string {
  return readFileSync(join(test.dir, "data", "ca", "root.pem"), "utf8");
}

/** A request without a body. */
export function get(target = "/", lines: readonly string[] = []): string {
  return head("GET", target, lines);
}

/** The head of a request to the app. */
export function head(method: string, target = "/", lines: readonly string[] = []): string {
  return `${method} ${target} HTTP/1.1\r\nhost: ${HOST}\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
}
