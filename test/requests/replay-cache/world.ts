// What the tests of remembered replays share: a node with apps whose machines answer with orders, or with what they got.

import assert from "node:assert/strict";
import { processApp } from "../../support/apps.ts";
import { freePort, staticApp } from "../../support/backend.ts";
import { ClientAuthority } from "../../support/client-certificates.ts";
import { eventually } from "../../support/eventually.ts";
import { Http2Client } from "../../support/http2-client.ts";
import type { Message } from "../../support/message.ts";
import { startTestNode, type TestNode } from "../../support/node.ts";
import { RawClient } from "../../support/raw-client.ts";
import { response, ScriptedBackend, type Answer } from "../../support/scripted-backend.ts";

export const TTL = "fly-replay-cache-ttl-secs: 60";
export const VERSIONS = ["HTTP/1.1", "HTTP/2"] as const;
export type Version = (typeof VERSIONS)[number];

/** What a machine got. */
interface Seen {
  /** The machine: of the app `world` its region, of others the app. */
  readonly by: string;
  readonly status: string | null;
  readonly src: string | null;
  readonly names: readonly string[];
  readonly body: string;
}

interface Sent {
  readonly host?: string;
  readonly lines?: readonly string[];
  readonly body?: string;
}

const MACHINES = ["ams", "nrt", "ord", "other", "third", "session", "east", "west", "short"] as const;

export class ReplayWorld implements AsyncDisposable {
  readonly node: TestNode;
  readonly backends: ReadonlyMap<string, ScriptedBackend>;
  /** By machine, what it answers to a request: lines with `fly-replay`, or null for what it got. */
  orders: Record<string, (request: Message) => readonly string[] | null> = {};
  /** A path that no other test has. */
  base = "";
  #tests = 0;
  readonly #http2Clients = new Map<string, Http2Client>();

  private constructor(node: TestNode, backends: ReadonlyMap<string, ScriptedBackend>) {
    this.node = node;
    this.backends = backends;
  }

  static async start(): Promise<ReplayWorld> {
    const authority = await ClientAuthority.create();
    const backends = new Map<string, ScriptedBackend>();
    for (const name of MACHINES) backends.set(name, await ScriptedBackend.start());
    const port = (name: (typeof MACHINES)[number]): number => backends.get(name)!.port;
    const rules = [
      { path_prefix: "/", ttl_seconds: 100, type: "cookie", name: "sid" },
      { path_prefix: "/header", ttl_seconds: 50, type: "header", name: "X-Session", allow_bypass: true },
      { path_prefix: "/header/deep/", ttl_seconds: 100, type: "cookie", name: "deep" },
      { path_prefix: "alt.example.com/header", ttl_seconds: 100, type: "cookie", name: "alt" },
    ].map(
      (rule) =>
        `[[http_service.http_options.replay_cache]]\n${Object.entries(rule)
          .map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
          .join("\n")}`,
    );
    const node = await startTestNode({
      tables: '[timeouts]\nupstream_idle = "1h"\nkeep_alive_idle = "10h"\n[limits]\nattempts = 2\nreplay_cache_entries = 40',
      apps: {
        world: app("world", { ams: port("ams"), nrt: port("nrt"), ord: port("ord") }).replace(
          "[kittiwake]",
          '[kittiwake]\nhostnames = ["world.example.com", "*.wild.example.com"]',
        ),
        other: app("other", { fra: port("other") }),
        third: app("third", { fra: port("third") }),
        session:
          app("session", { ams: port("session"), east: port("east"), nrt: port("west") })
            .replace('"session-east"\nregion = "east"', '"session-fra"\nregion = "fra"')
            .replace("[kittiwake]", '[kittiwake]\nhostnames = ["alt.example.com"]') + rules.join("\n"),
        dead: app("dead", { fra: await freePort() }),
        guarded: app("guarded", { fra: port("third") }, '\n[kittiwake.access]\ndeny = ["127.0.0.1"]\n'),
        locked: app("locked", { fra: port("third") }, `\n[kittiwake.tls]\nclient_ca = "${authority.write("ca.pem", authority.pem)}"\n`),
        kept: app("kept", { ams: port("ams"), nrt: port("nrt") }).replace("[kittiwake]", '[kittiwake]\nsticky = "cookie"'),
        sleepy: processApp("sleepy"),
        short: app("short", { fra: port("short") }).replace("[kittiwake]", "[kittiwake]\nmax_body_size = 3"),
      },
    });
    const { control } = node.node;
    await eventually(
      () => ["world", "other", "session"].every((name) => control.machines(name).every(({ state }) => state === "started")),
      "the machines",
    );
    const world = new ReplayWorld(node, backends);
    for (const [name, backend] of backends) await backend.answers(world.answerOf(name));
    return world;
  }

  /** Another test begins. */
  begin(): void {
    this.orders = {};
    this.base = `/t${this.#tests++}`;
  }

  /** The machine in Amsterdam asks for this replay of every request, and says what is to be remembered of that. */
  sendsTo(order: string, lines: readonly string[]): void {
    this.orders["ams"] = () => [`fly-replay: ${order}`, ...lines];
  }

  /** Requests that a machine got for the test's paths. */
  asked(name: string): number {
    return this.backends.get(name)!.requests.filter(({ target }) => target.startsWith(this.base)).length;
  }

  answerOf(name: string): Answer {
    return (request) => {
      if (request.header("upgrade") === "websocket") {
        return "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\nhello";
      }
      const lines = this.orders[name]?.(request) ?? null;
      if (lines !== null) return response("nobody gets this", lines, "307 Temporary Redirect");
      const seen: Seen = {
        by: name,
        status: request.header("fly-replay-cache-status"),
        src: request.header("fly-replay-src"),
        names: request.fields.map(([field]) => field.toLowerCase()),
        body: request.body,
      };
      return response(JSON.stringify(seen));
    };
  }

  async send(target: string, { host = "world.localhost", lines = [], body = "" }: Sent = {}, version: Version = "HTTP/1.1"): Promise<Seen> {
    if (version === "HTTP/2") {
      const client = this.#http2Clients.get(host) ?? (await Http2Client.connect(this.node, {}, host));
      this.#http2Clients.set(host, client);
      const headers: Record<string, string | string[]> = { ":authority": host };
      for (const line of lines) {
        const [, name, value] = /^([^:]+): (.*)$/.exec(line)!;
        headers[name!] = name! in headers ? [headers[name!]!, value!].flat() : value!;
      }
      const answer = body === "" ? await client.get(target, headers) : await client.post(target, body, headers);
      assert.ok(!Object.keys(answer.headers).some((name) => name.startsWith("fly-replay")));
      return outcome(answer.status, answer.body, String(answer.headers["kittiwake-error"]));
    }
    using client = await RawClient.connect(this.node.httpPort);
    const method = body === "" ? "GET" : "POST";
    const all = [`${method} ${target} HTTP/1.1`, `host: ${host}`, ...lines, ...(body === "" ? [] : [`content-length: ${body.length}`])];
    const answer = await client.send(`${all.join("\r\n")}\r\n\r\n${body}`).response();
    for (const [name] of answer.fields) assert.ok(!name.startsWith("fly-replay"), `${name} reached the client`);
    return outcome(answer.status, answer.body, answer.header("kittiwake-error"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#http2Clients.values()) client[Symbol.dispose]();
    await Promise.all([...this.backends.values()].map((backend) => backend[Symbol.asyncDispose]()));
    await this.node[Symbol.asyncDispose]();
  }
}

/** Who answered, and what it was told. */
export function told({ by, status }: Seen): string {
  return status === null ? by : `${by} ${status}`;
}

function outcome(status: number, body: string, error: string | null): Seen {
  assert.ok(!body.includes("nobody gets this"));
  return status === 200 ? (JSON.parse(body) as Seen) : { by: error!, status: null, src: null, names: [], body: "" };
}

function machines(app: string, places: Record<string, number>): string {
  return Object.entries(places)
    .map(([region, port]) => `[[kittiwake.machines]]\nid = "${app}-${region}"\nregion = "${region}"\naddress = "127.0.0.1:${port}"`)
    .join("\n");
}

export function app(name: string, places: Record<string, number>, more = ""): string {
  const [first, ...rest] = Object.entries(places);
  return (
    staticApp(name, first![1], machines(name, Object.fromEntries(rest))).replace(
      `${name}-1"\nregion = "ams"`,
      `${name}-${first![0]}"\nregion = "${first![0]}"`,
    ) + more
  );
}
