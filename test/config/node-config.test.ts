import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";

import type { NodeConfig } from "../../src/config/node-config.ts";
import { refusals } from "../../src/config/refusals.ts";
import { linesOf, loadFiles } from "./files.ts";

test("a node with nothing but a region gets every default, with absolute paths", (t) => {
  const { file, dataDir, ...rest } = load(t, 'region = "ams"');
  assert.equal(dataDir, join(file, "../data"));
  assert.deepEqual(rest, {
    node: "node-1",
    region: "ams",
    workers: 4,
    domain: "localhost",
    edge: { bind: ["0.0.0.0", "::"], ports: {}, proxyProtocolFrom: [], trustedProxies: [] },
    tls: { issuer: "internal" },
    admin: { listen: { host: "127.0.0.1", port: 4280 }, token: null },
    state: { engine: "sqlite", path: join(file, "../data/state.db") },
    regionTable: null,
    log: { level: "info", file: null, access: { to: "log" } },
    timeouts: {
      tlsHandshakeMs: 10_000,
      requestHeadMs: 10_000,
      keepAliveIdleMs: 75_000,
      clientIdleMs: 60_000,
      upstreamConnectMs: 5_000,
      upstreamHeadMs: 60_000,
      upstreamSilenceMs: 300_000,
      upstreamIdleMs: 4_000,
      udpIdleMs: 60_000,
      tunnelIdleMs: 0,
      totalMs: 0,
      drainMs: 30_000,
    },
    limits: {
      headBytes: 32_768,
      targetBytes: 16_384,
      headers: 100,
      trailerBytes: 8192,
      trailers: 32,
      chunkExtensionBytes: 4096,
      underscores: "drop",
      clientBytesPerSecond: 100,
      waitingPerApp: 10_000,
      udpSessions: 10_000,
      connectionsPerAddress: 0,
      attempts: 40,
      heldBodyBytes: 16_384,
      retryBodyBytes: 10_485_760,
      replayBodyBytes: 1_048_576,
      keptBodiesBytes: 67_108_864,
      streams: 128,
      compressors: 128,
      replayCacheEntries: 10_000,
    },
  } satisfies Omit<NodeConfig, "file" | "dataDir">);
});

test("paths are relative to the file, and absolute ones stay", (t) => {
  const node = load(t, 'region = "ams"\ndata_dir = "../data"\n[log]\nfile = "/var/log/kittiwake.log"\naccess = "logs/access.log"');
  const directory = join(node.file, "..");
  assert.equal(node.dataDir, join(directory, "../data"));
  assert.equal(node.log.file, "/var/log/kittiwake.log");
  assert.deepEqual(node.log.access, { to: "file", file: join(directory, "logs/access.log") });
});

test("a table of ports is by number, and port 0 stands for any free one", (t) => {
  const { edge, admin } = load(t, 'region = "ams"\n[edge]\nports = { 80 = 0, 443 = 0 }\n[admin]\nlisten = "[::1]:0"');
  assert.deepEqual(edge.ports, { 80: 0, 443: 0 });
  assert.equal(edge.ports[443], 0);
  assert.deepEqual(admin.listen, { host: "::1", port: 0 });
});

test("an upstream_head of zero means no limit", (t) => {
  assert.equal(load(t, 'region = "ams"\n[timeouts]\nupstream_head = "0"').timeouts.upstreamHeadMs, 0);
});

test("the admin API may listen elsewhere with a token, given here or in a file", (t) => {
  const listen = 'region = "ams"\n[admin]\nlisten = "10.0.0.1:4280"\n';
  assert.equal(load(t, `${listen}token = "0123456789abcdef"`).admin.token, "0123456789abcdef");
  const withFile = loadFiles(t, { "kittiwake.toml": `${listen}token_file = "token"\n`, token: "from-a-file-0123456789\n" });
  assert.equal(withFile.usable && withFile.node.admin.token, "from-a-file-0123456789");

  const short = loadFiles(t, { "kittiwake.toml": `apps = []\n${listen}token_file = "token"\n`, token: "short" });
  assert.deepEqual(linesOf(short), ['error kittiwake.toml:5 admin.token_file: expected at least 16 visible ASCII characters in "token"']);
  const both = loadFiles(t, { "kittiwake.toml": `apps = []\n${listen}token = "0123456789abcdef"\ntoken_file = "token"\n` });
  assert.deepEqual(linesOf(both), ["error kittiwake.toml:6 admin.token_file: token is given too; keep one of them"]);
});

test("a host name that cannot be a node's name asks for one", (t) => {
  const config = loadFiles(t, { "kittiwake.toml": 'region = "ams"\napps = []' }, { hostname: "büro" });
  assert.deepEqual(linesOf(config), ['error kittiwake.toml:1 node: missing; the host name "büro" cannot be used']);
});

test("a store that nodes may share is a file of its own, and asks for the name of the node", (t) => {
  const { state, file } = load(t, 'node = "one"\nregion = "ams"\n[state]\npath = "shared/state.db"');
  assert.deepEqual(state, { engine: "sqlite", path: join(file, "../shared/state.db") });
  const nameless = loadFiles(t, { "kittiwake.toml": 'region = "ams"\napps = []\n[state]\npath = "shared/state.db"' });
  assert.deepEqual(linesOf(nameless), [
    "error kittiwake.toml:4 state.path: a store that nodes may share needs a name for each of them; set node",
  ]);
});

test("issuer acme and engine nats are unions of their own, and what is not in force is reported as pending and refused at start", (t) => {
  const config = loadFiles(t, {
    "kittiwake.toml": `region = "ams"
      [tls]
      issuer = "acme"
      [tls.acme]
      email = "ops@example.com"
      [state]
      engine = "nats"
      servers = ["nats://10.0.0.1:4222"]`,
    "apps/a.toml": 'app = "a"\n[kittiwake]\ndriver = "docker"',
  });
  assert.ok(config.usable);
  const { tls, state } = config.node;
  assert.deepEqual(tls, {
    issuer: "acme",
    directory: "https://acme-v02.api.letsencrypt.org/directory",
    stagingDirectory: null,
    email: "ops@example.com",
    termsAgreed: true,
    caFile: null,
    challenges: ["tls-alpn-01", "http-01", "dns-01"],
    key: "ecdsa-p256",
    profile: null,
    newNamesPerWeek: 50,
    externalAccount: null,
    dns: { ownZone: null, updates: null },
  });
  assert.deepEqual(state, { engine: "nats", servers: ["nats://10.0.0.1:4222"] });
  assert.deepEqual(linesOf(config), [
    'pending kittiwake.toml:7 state.engine: "nats" is understood, not yet in force',
    "pending kittiwake.toml:8 state.servers: understood, not yet in force",
    'pending apps/a.toml:3 kittiwake.driver: "docker" is understood, not yet in force',
  ]);
  assert.deepEqual(refusals(config.node, config.apps), [
    'state.engine = "nats" is understood, but not yet in force; use "sqlite"',
    'driver "docker" of app "a" is understood, but not yet in force; use "process" or "static"',
  ]);
  assert.deepEqual(refusals(load(t, 'region = "ams"'), []), []);
});

function load(t: TestContext, text: string): NodeConfig {
  const config = loadFiles(t, { "kittiwake.toml": text });
  if (!config.usable) throw new Error(linesOf(config).join("\n"));
  return config.node;
}
