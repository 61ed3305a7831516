// Nodes with `issuer = "acme"` and a real authority: a name that an app declares is served with a certificate that a browser believes, whichever
// node orders it and whichever is asked for the proof.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
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

/** A CA, and the addresses it validates at: one for all tests, as each makes itself keys first. */
class Surroundings implements AsyncDisposable {
  readonly pebble: Pebble;
  readonly root: string;
  readonly http: Relay;
  readonly tls: Relay;

  private constructor(pebble: Pebble, root: string, http: Relay, tls: Relay) {
    this.pebble = pebble;
    this.root = root;
    this.http = http;
    this.tls = tls;
  }

  static async start(): Promise<Surroundings> {
    const [http, tls] = [await Relay.start(), await Relay.start()];
    const pebble = await Pebble.start({ httpPort: http.port, tlsPort: tls.port });
    return new Surroundings(pebble, await pebble.root(), http, tls);
  }

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
    // Validations wait until it is known where the node listens.
    this.leadTo();
    return await startTestNode({ ...options, tables: tables.join("\n") });
  }

  leadTo(...nodes: TestNode[]): void {
    this.http.leadTo(...nodes.map(({ httpPort }) => httpPort));
    this.tls.leadTo(...nodes.map(({ httpsPort }) => httpsPort));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of [this.pebble, this.http, this.tls]) await part[Symbol.asyncDispose]();
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

/** What its log says of the certificate that it obtained; lines are written when there is time. */
async function obtainedBy(node: TestNode): Promise<Record<string, unknown>> {
  const lines = (): string[] => readFileSync(join(node.dir, "node.log"), "utf8").split("\n").slice(0, -1);
  const find = (): string | undefined => lines().find((line) => line.includes('"obtained a certificate"'));
  await eventually(() => find() !== undefined, "the log");
  return JSON.parse(find()!) as Record<string, unknown>;
}

describe("a node with an ACME authority", { skip: noPebble }, () => {
  let around: Surroundings;
  before(async () => {
    around = await Surroundings.start();
  });
  after(() => around[Symbol.asyncDispose]());

  /** How many orders were placed meanwhile. */
  function countOrders(): () => number {
    const before = around.pebble.orders;
    return () => around.pebble.orders - before;
  }

  for (const [type, name, settings] of [
    ["tls-alpn-01", "alpn.example.com", []],
    ["http-01", "http.example.com", ['challenges = ["http-01"]']],
  ] as const) {
    test(`serves a new app with a certificate of the authority within ten seconds, by ${type}`, async () => {
      const orders = countOrders();
      await using node = await around.node({ apps: { shop: appWith("shop", name) }, workers: 2 }, settings);
      const startedAtMs = performance.now();
      around.leadTo(node);
      await serialServed(node, name, around.root);
      const tookMs = performance.now() - startedAtMs;
      assert.ok(tookMs < WITHIN_MS, `it took ${Math.round(tookMs)} ms`);
      const { hostname, challenge } = await obtainedBy(node);
      assert.deepEqual([hostname, challenge], [name, type]);
      assert.equal(orders(), 1);
    });
  }

  test("takes the next type of challenge where the first cannot succeed", async () => {
    await using node = await around.node({ apps: { shop: appWith("shop", "second.example.com") } });
    around.tls.leadTo(node.httpPort); // no TLS there
    around.http.leadTo(node.httpPort);
    await serialServed(node, "second.example.com", around.root);
    assert.equal((await obtainedBy(node))["challenge"], "http-01");
  });

  test("serves names that no authority can vouch for with local certificates, and orders none for them", async () => {
    const orders = countOrders();
    await using node = await around.node({ apps: { shop: staticApp("shop", NO_MACHINE) } });
    around.leadTo(node);
    await serialServed(node, "shop.localhost", rootOf(node));
    assert.equal(orders(), 0);
  });

  test("orders for an app that comes with a reload, and never for a name that none declares", async () => {
    const orders = countOrders();
    await using node = await around.node({ apps: { shop: appWith("shop", "early.example.com") } });
    around.leadTo(node);
    await assert.rejects(serialServed(node, "late.example.com", around.root));
    node.writeApp("blog", appWith("blog", "late.example.com"));
    await node.node.control.reload();
    await serialServed(node, "late.example.com", around.root);
    await serialServed(node, "early.example.com", around.root);
    await assert.rejects(serialServed(node, "nobody.example.com", around.root));
    assert.equal(orders(), 2);
  });

  test("has its certificates after a restart without asking for new ones", async () => {
    const orders = countOrders();
    using scratch = new ScratchDirectory();
    const options = { apps: { shop: appWith("shop", "kept.example.com") }, dir: scratch.path };
    const first = await around.node(options);
    around.leadTo(first);
    const serial = await serialServed(first, "kept.example.com", around.root);
    await first.node.stop();
    await using second = await around.node(options);
    assert.equal(await serialServed(second, "kept.example.com", around.root), serial);
    assert.equal(orders(), 1);
  });

  test("orders once for each of twenty names with two others on its store, validated at any of them", async () => {
    const orders = countOrders();
    using scratch = new ScratchDirectory();
    await using stack = new AsyncDisposableStack();
    const names = Array.from({ length: 20 }, (_, index) => `name-${index}.example.com`);
    const shared = {
      apps: { many: appWith("many", ...names) },
      secret: randomBytes(32).toString("base64"),
      tables: `[state]\npath = "${join(scratch.path, "state.db")}"`,
    };
    const nodes = await Promise.all(["one", "two", "three"].map(async (name) => stack.use(await around.node({ ...shared, name }))));
    around.leadTo(...nodes);
    const serials = await Promise.all(
      names.map((name) => serialServed(nodes[Math.floor(Math.random() * nodes.length)]!, name, around.root)),
    );
    assert.equal(new Set(serials).size, names.length);
    for (const node of nodes) {
      assert.deepEqual(await Promise.all(names.map((name) => serialServed(node, name, around.root))), serials);
      assert.ok(around.tls.counts.has(node.httpsPort), "each was asked for a proof");
    }
    assert.equal(orders(), names.length);
  });
});
