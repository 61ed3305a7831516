// Nodes with `issuer = "acme"` and a real authority: a name that an app declares is served with a certificate that a browser believes, whichever
// node orders it and whichever is asked for the proof.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { ScratchDirectory } from "../certs/fixtures.ts";
import { staticApp } from "../support/backend.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode, type TestNodeOptions } from "../support/node.ts";
import { noPebble, Pebble } from "../support/pebble.ts";
import { Relay } from "../support/relay.ts";

/** Nobody connects to it: certificates are had without any machine. */
const NO_MACHINE = 9;
const WITHIN_MS = 10_000;

/** A CA, and the addresses it validates at. */
class Surroundings implements AsyncDisposable {
  readonly pebble: Pebble;
  readonly http: Relay;
  readonly tls: Relay;
  readonly #stack = new AsyncDisposableStack();

  private constructor(pebble: Pebble, http: Relay, tls: Relay) {
    this.pebble = pebble;
    this.http = http;
    this.tls = tls;
    for (const part of [http, tls, pebble]) this.#stack.use(part);
  }

  static async start(): Promise<Surroundings> {
    const [http, tls] = [await Relay.start(), await Relay.start()];
    return new Surroundings(await Pebble.start({ httpPort: http.port, tlsPort: tls.port }), http, tls);
  }

  /** Ended before the CA is. */
  async node(options: TestNodeOptions, acme: readonly string[] = []): Promise<TestNode> {
    const { directory, caFile } = this.pebble;
    const tables = [
      '[tls]\nissuer = "acme"',
      "[tls.acme]",
      `directory = "${directory}"`,
      `ca_file = "${caFile}"`,
      ...acme,
      options.tables ?? "",
    ];
    return this.#stack.use(await startTestNode({ ...options, tables: tables.join("\n") }));
  }

  leadTo(...nodes: TestNode[]): void {
    this.http.leadTo(...nodes.map(({ httpPort }) => httpPort));
    this.tls.leadTo(...nodes.map(({ httpsPort }) => httpsPort));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function appWith(name: string, ...hostnames: string[]): string {
  return staticApp(name, NO_MACHINE).replace("[kittiwake]", `[kittiwake]\nhostnames = ${JSON.stringify(hostnames)}`);
}

/** The serial number of what a client is served that trusts only this root. Throws when it does not trust it. */
async function serialServed(node: TestNode, servername: string, ca: string): Promise<string> {
  const socket = connect({ port: node.httpsPort, host: "127.0.0.1", servername, ca });
  await once(socket, "secureConnect");
  const { serialNumber } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return serialNumber;
}

function logOf(node: TestNode): Record<string, unknown>[] {
  const lines = readFileSync(join(node.dir, "node.log"), "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("a node with an ACME authority", { skip: noPebble }, () => {
  for (const [type, settings] of [
    ["tls-alpn-01", []],
    ["http-01", ['challenges = ["http-01"]']],
  ] as const) {
    test(`serves a new app with a certificate of the authority within ten seconds, by ${type}`, async () => {
      await using around = await Surroundings.start();
      const node = await around.node({ apps: { shop: appWith("shop", "shop.example.com") }, workers: 2 }, settings);
      const startedAtMs = performance.now();
      around.leadTo(node);
      await serialServed(node, "shop.example.com", await around.pebble.root());
      const tookMs = performance.now() - startedAtMs;
      assert.ok(tookMs < WITHIN_MS, `it took ${Math.round(tookMs)} ms`);
      const obtained = logOf(node).find(({ msg }) => msg === "obtained a certificate");
      assert.deepEqual([obtained?.["hostname"], obtained?.["challenge"]], ["shop.example.com", type]);
      assert.equal(around.pebble.orders, 1);
    });
  }

  test("takes the next type of challenge where the first cannot succeed", async () => {
    await using around = await Surroundings.start();
    const node = await around.node({ apps: { shop: appWith("shop", "shop.example.com") } });
    around.http.leadTo(node.httpPort);
    around.tls.leadTo(node.httpPort); // no TLS there
    await serialServed(node, "shop.example.com", await around.pebble.root());
    assert.equal(logOf(node).find(({ msg }) => msg === "obtained a certificate")?.["challenge"], "http-01");
  });

  test("serves names that no authority can vouch for with local certificates, and orders none for them", async () => {
    await using around = await Surroundings.start();
    const node = await around.node({ apps: { shop: staticApp("shop", NO_MACHINE) } });
    around.leadTo(node);
    await serialServed(node, "shop.localhost", rootOf(node));
    assert.equal(around.pebble.orders, 0);
  });

  test("orders for an app that comes with a reload, and never for a name that none declares", async () => {
    await using around = await Surroundings.start();
    const node = await around.node({ apps: { shop: appWith("shop", "shop.example.com") } });
    around.leadTo(node);
    const root = await around.pebble.root();
    await assert.rejects(serialServed(node, "blog.example.com", root));
    node.writeApp("blog", appWith("blog", "blog.example.com"));
    await node.node.control.reload();
    await serialServed(node, "blog.example.com", root);
    await serialServed(node, "shop.example.com", root);
    await assert.rejects(serialServed(node, "nobody.example.com", root));
    assert.equal(around.pebble.orders, 2);
  });

  test("has its certificates after a restart without asking for new ones", async () => {
    await using around = await Surroundings.start();
    using scratch = new ScratchDirectory();
    const options = { apps: { shop: appWith("shop", "shop.example.com") }, dir: scratch.path };
    const root = await around.pebble.root();
    const first = await around.node(options);
    around.leadTo(first);
    const serial = await serialServed(first, "shop.example.com", root);
    await first.node.stop();
    const second = await around.node(options);
    assert.equal(await serialServed(second, "shop.example.com", root), serial);
    assert.equal(around.pebble.orders, 1);
  });
});

test("three nodes of one store, validated at any of them, order once for each of twenty names", { skip: noPebble }, async () => {
  await using around = await Surroundings.start();
  using scratch = new ScratchDirectory();
  const names = Array.from({ length: 20 }, (_, index) => `name-${index}.example.com`);
  const shared = {
    apps: { many: appWith("many", ...names) },
    secret: randomBytes(32).toString("base64"),
    tables: `[state]\npath = "${join(scratch.path, "state.db")}"`,
  };
  const nodes = await Promise.all(["one", "two", "three"].map((name) => around.node({ ...shared, name })));
  around.leadTo(...nodes);
  const root = await around.pebble.root();
  const serials = await Promise.all(names.map((name) => serialServed(nodes[Math.floor(Math.random() * 3)]!, name, root)));
  assert.equal(new Set(serials).size, names.length);
  for (const node of nodes) {
    assert.deepEqual(await Promise.all(names.map((name) => serialServed(node, name, root))), serials, "every node has all of them");
  }
  assert.equal(around.pebble.orders, names.length);
  assert.equal(around.pebble.certificates, names.length);
  await eventually(() => around.tls.counts.size === 3, "validations at each of the nodes");
});
