// Proxies in front that say in x-forwarded-* who their clients are (reference section 5.1; issue 5 part 9): believed where the node trusts
// them, and nowhere else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { BELIEVES_CLIENTS, connectFrom } from "../support/pretended-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const PROXY = "198.51.100.7";
const STRANGER = "203.0.113.200";

const backend = await ScriptedBackend.start();
const node = await startTestNode({
  edge: `${BELIEVES_CLIENTS}\ntrusted_proxies = ["198.51.100.0/24", "10.0.0.0/8", "2001:db8:f::/48"]`,
  apps: {
    hello: staticApp("hello", backend.port),
    secure: staticApp("secure", backend.port).replace("[http_service]", "[http_service]\nforce_https = true"),
    guarded: staticApp(
      "guarded",
      backend.port,
      '[kittiwake.access]\ndeny = ["203.0.113.66"]\nrate = "1/h"\nburst = 2\nconnections_per_address = 1',
    ),
    private: staticApp("private", backend.port).replace("[kittiwake]", '[kittiwake]\nsteering = "trusted"'),
  },
});
await eventually(() => node.node.control.machines("hello").every(({ state }) => state === "started"), "the machine");
after(async () => {
  for (const part of [backend, node]) await part[Symbol.asyncDispose]();
});

const get = (app: string, lines: readonly string[] = []): string =>
  `GET /${app} HTTP/1.1\r\nhost: ${app}.localhost\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;

/** Fields of the request as the machine gets it. */
async function seen(peer: string, lines: readonly string[]): Promise<Record<string, string | null>> {
  await backend.answers(() => response("ok"));
  using client = await connectFrom(peer, node.httpPort);
  await client.send(get("hello", lines)).response();
  const request = await backend.request();
  const names = ["fly-client-ip", "x-forwarded-for", "x-forwarded-proto", "fly-forwarded-proto", "x-forwarded-ssl", "x-forwarded-port"];
  return Object.fromEntries(names.map((name) => [name, request.header(name)]));
}

describe("reference 5.1: the client of a request", () => {
  for (const [what, peer, list, expected] of [
    ["from nobody known is the peer, whatever it says", STRANGER, "192.0.2.1", STRANGER],
    ["from a trusted proxy is whom it names", PROXY, "192.0.2.1", "192.0.2.1"],
    ["is the last that is not trusted: what is left of it can be anybody's", PROXY, "192.0.2.66, 192.0.2.1", "192.0.2.1"],
    ["is behind all proxies in a row", PROXY, "192.0.2.66,192.0.2.1, 10.1.2.3,198.51.100.9", "192.0.2.1"],
    ["is the first of them where all are trusted", PROXY, "10.0.0.5, 10.0.0.6", "10.0.0.5"],
    ["may have a port", PROXY, "192.0.2.1:4711", "192.0.2.1"],
    ["may be of IPv6", PROXY, "2001:db8::7, 2001:db8:f::1", "2001:db8::7"],
    ["may be of IPv6 in brackets, with a port", PROXY, "[2001:db8::7]:4711", "2001:db8::7"],
    ["may be of IPv4 in the form of IPv6", PROXY, "192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1"],
    ["is the last that is an address", PROXY, "192.0.2.1, unknown, 10.0.0.9", "10.0.0.9"],
    ["is the peer where the list ends with none", PROXY, "192.0.2.1, ", PROXY],
    ["is the peer where it is empty", PROXY, "", PROXY],
    ["of a proxy by IPv6", "2001:db8:f::2", "192.0.2.1", "192.0.2.1"],
  ] as const) {
    test(what, async () => {
      const request = await seen(peer, [`x-forwarded-for: ${list}`]);
      assert.equal(request["fly-client-ip"], expected);
      // The list goes on with whom this edge was asked by, whoever the client is.
      const local = peer.includes(":") ? "2001:db8::1" : "198.51.100.1";
      assert.equal(request["x-forwarded-for"], `${list.trim()}, ${peer}, ${local}`);
    });
  }

  test("is in several lines of the field what it would be in one", async () => {
    const lines = ["x-forwarded-for: 192.0.2.66", "x-forwarded-for: 192.0.2.1, 10.0.0.1"];
    assert.equal((await seen(PROXY, lines))["fly-client-ip"], "192.0.2.1");
  });

  test("came by what a trusted proxy says, and by what it came by from others", async () => {
    const lines = ["x-forwarded-proto: https", "x-forwarded-port: 8443"];
    const proxied = await seen(PROXY, lines);
    assert.deepEqual(
      [proxied["x-forwarded-proto"], proxied["fly-forwarded-proto"], proxied["x-forwarded-ssl"], proxied["x-forwarded-port"]],
      ["https", "https", "on", "8443"],
    );
    const direct = await seen(STRANGER, lines);
    assert.deepEqual([direct["x-forwarded-proto"], direct["fly-forwarded-proto"], direct["x-forwarded-ssl"]], ["http", "http", "off"]);
    assert.equal((await seen(PROXY, ["x-forwarded-proto: gopher"]))["x-forwarded-proto"], "http");
  });
});

describe("what depends on the client", () => {
  /** Each on one connection to the edge, which the proxy uses for all its clients. */
  async function statuses(app: string, requests: readonly (readonly string[])[], peer = PROXY): Promise<number[]> {
    await backend.answers(() => response("ok"));
    using client = await connectFrom(peer, node.httpPort);
    const all: number[] = [];
    for (const lines of requests) all.push((await client.send(get(app, lines)).response()).status);
    return all;
  }

  test("force_https asks by what the client came, so that it is not sent round in circles", async () => {
    assert.deepEqual(await statuses("secure", [["x-forwarded-proto: https"], ["x-forwarded-proto: http"], []]), [200, 301, 301]);
    assert.deepEqual(await statuses("secure", [["x-forwarded-proto: https"]], STRANGER), [301]);
  });

  test("access rules are for the client, each of one proxy's by itself", async () => {
    const from = (ip: string): string[] => [`x-forwarded-for: ${ip}`];
    const requests = ["203.0.113.66", "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(from);
    assert.deepEqual(await statuses("guarded", requests), [403, 200, 200, 429, 200]);
    // The connections are the proxy's.
    using one = await connectFrom(PROXY, node.httpPort);
    using two = await connectFrom(PROXY, node.httpPort);
    for (const client of [one, two]) assert.equal((await client.send(get("guarded", from("192.0.2.3"))).response()).status, 200);
  });

  test("a proxy with a private address does not make its clients ones that may steer", async () => {
    await backend.answers(() => response("ok"));
    for (const [ip, status] of [
      ["192.0.2.1", 200],
      ["10.0.0.8", 503],
    ] as const) {
      using client = await connectFrom("10.0.0.1", node.httpPort);
      const lines = [`x-forwarded-for: ${ip}`, "fly-force-region: nrt"];
      assert.equal((await client.send(get("private", lines)).response()).status, status, ip);
    }
  });

  test("the access log has the client, and the scheme that it came by", async () => {
    await seen(PROXY, ["x-forwarded-for: 192.0.2.99", "x-forwarded-proto: https"]);
    const line =
      /"client":"192\.0\.2\.99","method":"GET","host":"hello\.localhost","path":"\/hello","protocol":"HTTP\/1\.1","scheme":"https"/;
    await eventually(() => line.test(readFileSync(join(node.dir, "node.log"), "utf8")), "the line in the access log");
  });
});
