// A node whose certificates come from a fake authority, and clients that look at them.

import { once } from "node:events";
import { connect, type SecureContext, type TLSSocket } from "node:tls";
import { staticApp } from "../support/backend.ts";
import { clientContext } from "../support/client-context.ts";
import { FakeAcme, type FakeAcmeOptions } from "../support/fake-acme.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

export interface AuthorityOptions extends FakeAcmeOptions {
  readonly hostnames: readonly string[];
  readonly workers?: number;
  /** Of the app's one machine. Default: one where nobody is. */
  readonly machinePort?: number;
  /** More tables of kittiwake.toml. */
  readonly tables?: string;
}

export class AuthorityNode implements AsyncDisposable {
  readonly fake: FakeAcme;
  readonly test: TestNode;

  readonly #machinePort: number;
  readonly #secureContext: SecureContext;

  private constructor(fake: FakeAcme, test: TestNode, machinePort: number) {
    this.fake = fake;
    this.test = test;
    this.#machinePort = machinePort;
    this.#secureContext = clientContext(fake.rootPem);
  }

  /** @param prepare what the authority does from the beginning */
  static async start(options: AuthorityOptions, prepare = (_: FakeAcme): void => {}): Promise<AuthorityNode> {
    const { hostnames, workers = 1, machinePort = 9, tables = "" } = options;
    const fake = await FakeAcme.start(options);
    prepare(fake);
    const test = await startTestNode({
      apps: { hello: appWith(machinePort, hostnames) },
      workers,
      tables: `[tls]\nissuer = "acme"\n[tls.acme]\ndirectory = "${fake.directory}"\nterms_agreed = true\nchallenges = ["http-01"]\n${tables}`,
    });
    return new AuthorityNode(fake, test, machinePort);
  }

  /** Declares other names. */
  async declare(...hostnames: string[]): Promise<void> {
    this.test.writeApp("hello", appWith(this.#machinePort, hostnames));
    await this.test.node.control.reload();
  }

  /** A full handshake; resolves with the fingerprint of the certificate, which the authority vouches for. */
  async handshake(servername: string): Promise<string> {
    using client = await this.connect(servername);
    return client.socket.getPeerCertificate().fingerprint256;
  }

  async connect(servername: string): Promise<Disposable & { readonly socket: TLSSocket }> {
    const socket = connect({ port: this.test.httpsPort, host: "127.0.0.1", servername, secureContext: this.#secureContext });
    const closed = Promise.withResolvers<never>();
    socket.on("error", closed.reject);
    socket.on("close", () => closed.reject(new Error("the connection was closed")));
    closed.promise.catch(() => {});
    await Promise.race([once(socket, "secureConnect"), closed.promise]);
    return { socket, [Symbol.dispose]: () => void socket.destroy() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.test[Symbol.asyncDispose]();
    await this.fake[Symbol.asyncDispose]();
  }
}

function appWith(machinePort: number, hostnames: readonly string[]): string {
  return staticApp("hello", machinePort).replace("[kittiwake]", `[kittiwake]\nhostnames = ${JSON.stringify(hostnames)}`);
}
