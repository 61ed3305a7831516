// Who may come to an app, and how much (issue 5 part 9; reference section 11.3, rows 2 and 3): asked of requests and of connections that
// carry none, and before anything that a machine is woken for.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fuzzParameters } from "../http/seed.ts";
import { processApp } from "../support/apps.ts";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { BELIEVES_CLIENTS, connectFrom } from "../support/pretended-client.ts";
import { createRandom } from "../support/random.ts";
import { rawApp, startEcho } from "../support/raw-apps.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const RULES = `[kittiwake.access]
allow = ["203.0.113.0/24", "2001:db8::/32", "127.0.0.1"]
deny = ["203.0.113.128/25", "2001:db8:bad::/48"]`;

const web = await ScriptedBackend.start();
await web.answers(() => response("in"));
const echo = await startEcho();
const raw = (name: string, port: number, access: string): string =>
  rawApp(name, { machines: [echo.port], port: `port = ${port}` }) + `\n[kittiwake.access]\n${access}`;

const node = await startTestNode({
  workers: 2,
  edge: BELIEVES_CLIENTS,
  ports: [6000, 6001, 6002, 6003],
  apps: {
    listed: staticApp("listed", web.port, RULES),
    open: staticApp("open", web.port),
    rated: staticApp("rated", web.port, '[kittiwake.access]\nrate = "1/h"\nburst = 3'),
    quick: staticApp("quick", web.port, '[kittiwake.access]\nrate = "20/s"\nburst = 1'),
    few: staticApp("few", web.port, "[kittiwake.access]\nconnections_per_address = 2"),
    rawlisted: raw("rawlisted", 6000, 'deny = ["203.0.113.0/24"]'),
    rawrated: raw("rawrated", 6001, 'rate = "1/h"\nburst = 2'),
    rawfew: raw("rawfew", 6002, "connections_per_address = 1"),
    dns:
      rawApp("dns", { machines: [echo.port], port: "port = 6003", protocol: "udp", internalPort: 6003 }) +
      '\n[kittiwake.access]\ndeny = ["127.0.0.1"]',
    asleep: processApp("asleep", {
      env: { STARTS_FILE: "asleep.starts" },
      more: 'max_body_size = 10\n[kittiwake.access]\ndeny = ["198.18.0.0/15"]\nrate = "1/h"\nburst = 2',
    }),
  },
});
for (const name of ["listed", "rawlisted", "dns"])
  await eventually(() => node.node.control.machines(name).every(({ state }) => state === "started"), `the machine of ${name}`);
after(async () => {
  for (const part of [web, echo, node]) await part[Symbol.asyncDispose]();
});

const get = (app: string): string => `GET / HTTP/1.1\r\nhost: ${app}.localhost\r\n\r\n`;

/** What a client gets on a connection of its own. */
async function askFrom(ip: string, app: string): Promise<{ status: number; code: string | null; retryAfter: string | null }> {
  using client = await connectFrom(ip, node.httpPort);
  const answer = await client.send(get(app)).response();
  return { status: answer.status, code: answer.header("kittiwake-error"), retryAfter: answer.header("retry-after") };
}

describe("allow and deny", () => {
  for (const [ip, status] of [
    ["203.0.113.9", 200],
    ["203.0.113.127", 200],
    ["203.0.113.128", 403],
    ["203.0.112.255", 403],
    ["2001:db8:1::9", 200],
    ["2001:db8:bad:1::9", 403],
    ["2001:db9::", 403],
  ] as const) {
    test(`${ip} gets ${status}`, async () => {
      assert.deepEqual(await askFrom(ip, "listed"), { status, code: status === 200 ? null : "access_denied", retryAfter: null });
    });
  }

  test("they are the app's own, and its connection goes on to others", async () => {
    using client = await connectFrom("198.51.100.7", node.httpPort);
    assert.equal((await client.send(get("listed")).response()).status, 403);
    assert.equal((await client.send(get("open")).response()).status, 200);
  });

  test("a connection without HTTP is closed, and counted", async () => {
    using refused = await connectFrom("203.0.113.9", node.boundPort(6000));
    assert.equal(await refused.send("hello").untilEnd(), "");
    using letIn = await connectFrom("198.51.100.7", node.boundPort(6000));
    assert.equal(await letIn.send("hello").end().untilEnd(), "hello");
    const { text } = await node.node.control.metrics();
    assert.match(text, /code="access_denied"\} [1-9]/);
  });

  test("a datagram gets no session, and no line in the log", async (t) => {
    const socket = createSocket("udp4");
    t.after(() => socket.close());
    const denied = async (): Promise<number> =>
      Number(/code="access_denied"\} (\d+)/.exec((await node.node.control.metrics()).text)?.[1] ?? 0);
    const before = await denied();
    for (let i = 0; i < 3; i++) socket.send("hello", node.boundPort(6003, "udp"), "127.0.0.1");
    await eventually(async () => (await denied()) === before + 3, "them to be counted");
    const { text } = await node.node.control.metrics();
    assert.doesNotMatch(text, /^fly_edge_.*app="dns"/m);
    await node.settle();
    assert.doesNotMatch(readFileSync(join(node.dir, "node.log"), "utf8"), /"app":"dns".*access_denied|access_denied.*"app":"dns"/);
  });
});

describe("rate", () => {
  test("beyond the burst there is 429, with the seconds until the next one; over all connections and workers", async () => {
    const answers = [];
    for (let i = 0; i < 8; i++) answers.push(await askFrom("203.0.113.9", "rated"));
    const statuses = answers.map(({ status }) => status);
    assert.deepEqual(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
    assert.equal(answers[3]!.code, "rate_limited");
    const seconds = Number(answers[3]!.retryAfter);
    assert.ok(seconds > 3500 && seconds <= 3600, `${seconds}`);
  });

  test("an address of IPv6 shares with its network, others have their own", async () => {
    const statuses = [];
    for (const ip of ["2001:db8::1", "2001:db8::2", "2001:db8::3:4", "2001:db8::5", "2001:db8:0:1::1"])
      statuses.push((await askFrom(ip, "rated")).status);
    assert.deepEqual(statuses, [200, 200, 200, 429, 200]);
  });

  test("whoever waits is let in again", async () => {
    using client = await connectFrom("203.0.113.9", node.httpPort);
    let refusals = 0;
    assert.equal((await client.send(get("quick")).response()).status, 200);
    while ((await client.send(get("quick")).response()).status === 429) refusals++;
    assert.ok(refusals > 0);
  });

  test("a connection without HTTP is one request", async () => {
    for (const expected of ["hello", "hello", ""]) {
      using client = await connectFrom("203.0.113.9", node.boundPort(6001));
      client.send("hello");
      if (expected !== "") client.end();
      assert.equal(await client.untilEnd(), expected);
    }
  });
});

describe("connections of an address", () => {
  test("one more gets 429 and is closed; a place is free again when one ends", async () => {
    using first = await connectFrom("203.0.113.9", node.httpPort);
    const second = await connectFrom("203.0.113.9", node.httpPort);
    using third = await connectFrom("203.0.113.9", node.httpPort);
    for (let i = 0; i < 3; i++) for (const one of [first, second]) assert.equal((await one.send(get("few")).response()).status, 200);
    const refused = await third.send(get("few")).response();
    assert.deepEqual([refused.status, refused.header("kittiwake-error")], [429, "too_many_connections"]);
    assert.deepEqual([refused.header("connection"), refused.header("retry-after")], ["close", "1"]);
    assert.equal((await askFrom("203.0.113.10", "few")).status, 200);
    second[Symbol.dispose]();
    await eventually(async () => (await askFrom("203.0.113.9", "few")).status === 200, "the place of the second");
  });

  test("so it is without HTTP", async () => {
    const first = await connectFrom("203.0.113.9", node.boundPort(6002));
    await first.send("one").until((received) => received === "one");
    using second = await connectFrom("203.0.113.9", node.boundPort(6002));
    assert.equal(await second.send("two").untilEnd(), "");
    assert.equal(await first.end().untilEnd(), "one");
    const isIn = async (): Promise<boolean> => {
      using client = await connectFrom("203.0.113.9", node.boundPort(6002));
      return (await client.send("three").end().untilEnd()) === "three";
    };
    await eventually(isIn, "the place of the first");
  });
});

test("issue 5 part 10: explain tells a client's access, where its headers lead, and what if", async () => {
  const ask = async (query: string): Promise<{ outcome: object; rules: readonly object[] }> =>
    (await (await fetch(`${node.adminUrl}/explain?${query}`)).json()) as { outcome: object; rules: readonly object[] };
  const refused = { action: "refuse", code: "access_denied", reason: "deny has 203.0.113.128" };
  assert.deepEqual((await ask("url=http://listed.localhost/&client=203.0.113.128")).outcome, refused);
  const forced = await ask("url=http://open.localhost/&header=fly-force-region:nrt");
  assert.deepEqual(forced.rules[3], { rule: "steering", verdict: "regions nrt, else nothing" });
  const nobody = { action: "refuse", code: "no_machine", reason: "no machine is up, and none can be woken" };
  assert.deepEqual(forced.outcome, nobody);
  assert.deepEqual((await ask("url=http://open.localhost/&down=ams")).outcome, nobody);
});

test("of a whole node as well: one more is closed, on ports of every kind, and a trusted proxy's are not counted", async (t) => {
  const small = await startTestNode({
    workers: 2,
    edge: `${BELIEVES_CLIENTS}\ntrusted_proxies = ["198.51.100.0/24"]`,
    tables: "[limits]\nconnections_per_address = 2",
    ports: [6000],
    apps: { open: staticApp("open", web.port), raw: rawApp("raw", { machines: [echo.port], port: "port = 6000" }) },
  });
  t.after(() => small[Symbol.asyncDispose]());
  for (const name of ["open", "raw"])
    await eventually(() => small.node.control.machines(name).every(({ state }) => state === "started"), `the machine of ${name}`);
  const first = await connectFrom("203.0.113.9", small.httpPort);
  assert.equal((await first.send(get("open")).response()).status, 200);
  using second = await connectFrom("203.0.113.9", small.boundPort(6000));
  await second.send("two").until((received) => received === "two");
  for (const port of [80, 443, 6000]) {
    using refused = await connectFrom("203.0.113.9", small.boundPort(port));
    assert.equal(await refused.untilEnd(), "", `port ${port}`);
  }
  assert.match((await small.node.control.metrics()).text, /code="too_many_connections"\} 3/);
  first[Symbol.dispose]();
  const isIn = async (): Promise<boolean> => {
    using client = await connectFrom("203.0.113.9", small.httpPort);
    return await client
      .send(get("open"))
      .response()
      .then(
        () => true,
        () => false,
      );
  };
  await eventually(isIn, "the place of the first");
  const proxies = await Promise.all([1, 2, 3, 4].map(() => connectFrom("198.51.100.7", small.httpPort)));
  for (const proxy of proxies) {
    assert.equal((await proxy.send(get("open")).response()).status, 200);
    proxy[Symbol.dispose]();
  }
});

test("a scanner's trace: ten thousand requests to unknown hosts, from denied addresses and over the rate wake nobody", async () => {
  const random = createRandom(fuzzParameters(1).seed);
  const pick = <T>(...from: T[]): T => from[Math.floor(random() * from.length)]!;
  const paths = ["/", "/.env", "/wp-login.php", "/.git/config", "/admin", "/.well-known/acme-challenge/x", "/favicon.ico"];
  const hosts = ["asleep.localhost", "nobody.example", "198.51.100.1", "www.asleep.localhost"];
  const scan = async (ip: string, spends: boolean): Promise<string[]> => {
    using client = await connectFrom(ip, node.httpPort);
    // Too large a body is refused behind the rules, so that it counts, and before the gate.
    const tooLarge = "POST / HTTP/1.1\r\nhost: asleep.localhost\r\ncontent-length: 11\r\n\r\n";
    for (let i = 0; spends && i < 2; i++) {
      using spender = await connectFrom(ip, node.httpPort);
      assert.equal((await spender.send(tooLarge).response()).status, 413);
    }
    for (let i = 0; i < 250; i++) client.send(`${pick("GET", "HEAD")} ${pick(...paths)} HTTP/1.1\r\nhost: ${pick(...hosts)}\r\n\r\n`);
    const statuses = (received: string): string[] => received.match(/HTTP\/1\.1 \d+/g) ?? [];
    return statuses(await client.until((received) => statuses(received).length === 250));
  };
  const scans = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? scan(`198.18.0.${i}`, false) : scan(`203.0.113.${i}`, true)));
  const counts: Record<string, number> = {};
  for (const status of (await Promise.all(scans)).flat()) counts[status] = (counts[status] ?? 0) + 1;
  assert.deepEqual(Object.keys(counts).toSorted(), ["HTTP/1.1 403", "HTTP/1.1 404", "HTTP/1.1 429"]);
  assert.equal(
    Object.values(counts).reduce((sum, count) => sum + count, 0),
    10_000,
  );
  await node.settle();
  assert.equal(existsSync(join(node.dir, "apps/asleep.starts")), false);
  assert.equal(
    node.events.some((event) => event.type === "woke"),
    false,
  );
  // Whoever is let in wakes it.
  using client = await connectFrom("192.0.2.1", node.httpPort);
  assert.equal((await client.send(get("asleep")).response()).status, 200);
  assert.equal(existsSync(join(node.dir, "apps/asleep.starts")), true);
});
