// What steers a request, and what refuses it, whichever protocols its client and its machines speak: reference sections 4.1, 4.2, 4.7 and 11.3.
// replay.test.ts, steering.test.ts and access.test.ts have all of it over HTTP/1.1.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp1, request as requestHttp1, type IncomingMessage } from "node:http";
import { createServer as createHttp2, type Http2ServerRequest } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client } from "../support/http2-client.ts";
import { startTestNode } from "../support/node.ts";

type Protocol = "HTTP/1.1" | "HTTP/2";
type Headers = Readonly<Record<string, string>>;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

const LARGE_BYTES = 200_000;
const REGIONS = ["ams", "nrt"] as const;

/** A machine asks for the replay that `x-order` says, if it is in Amsterdam and the request has not been one; others say who they are. */
function answerOf(region: string, headers: IncomingMessage["headers"], method: string, body: string): Answer {
  const { "x-order": order, "x-padding": padding } = headers;
  const [src, failed] = [String(headers["fly-replay-src"] ?? ""), String(headers["fly-replay-failed"] ?? "")];
  if (order !== undefined && region === "ams" && src === "" && failed === "")
    return { status: 409, headers: { "fly-replay": String(order) }, body: "nobody gets this".padEnd(Number(padding ?? 0)) };
  const unavailable = String(headers["fly-preferred-instance-unavailable"] ?? "");
  return { status: 200, headers: { src, failed, unavailable }, body: `${region} ${method} ${body}` };
}

class Machine {
  readonly region: string;
  connections = 0;
  requests = 0;
  readonly #server: ReturnType<typeof createHttp1> | ReturnType<typeof createHttp2>;
  readonly #ends = new Set<() => void>();

  constructor(region: string, protocol: Protocol) {
    this.region = region;
    const answer = (request: IncomingMessage | Http2ServerRequest, send: (answer: Answer) => void): void => {
      this.requests++;
      const parts: Buffer[] = [];
      request.on("error", () => {});
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => send(answerOf(region, request.headers, request.method ?? "", Buffer.concat(parts).toString())));
    };
    this.#server =
      protocol === "HTTP/2"
        ? createHttp2((request, response) => {
            answer(request, ({ status, headers, body }) => response.writeHead(status, headers).end(body));
          })
        : createHttp1((request, response) => {
            answer(request, ({ status, headers, body }) => response.writeHead(status, headers).end(body));
          });
    this.#server.on("connection", (socket) => {
      this.connections++;
      const end = (): void => void socket.destroy();
      this.#ends.add(end);
      socket.on("close", () => this.#ends.delete(end));
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
    for (const end of this.#ends) end();
  }
}

const machines = {
  "HTTP/1.1": await Promise.all(REGIONS.map(async (region) => await new Machine(region, "HTTP/1.1").start())),
  "HTTP/2": await Promise.all(REGIONS.map(async (region) => await new Machine(region, "HTTP/2").start())),
};
const APP_OF = { "HTTP/1.1": "plain", "HTTP/2": "framed" } as const;

function app(name: string, protocol: Protocol, more = ""): string {
  const [near, far] = machines[protocol] as [Machine, Machine];
  const text = staticApp(
    name,
    near.port,
    `[[kittiwake.machines]]\nid = "${name}-2"\nregion = "nrt"\naddress = "127.0.0.1:${far.port}"\n${more}`,
  );
  return protocol === "HTTP/2" ? text.replace("internal_port", "http_options = { h2_backend = true }\ninternal_port") : text;
}

const node = await startTestNode({
  apps: {
    plain: app("plain", "HTTP/1.1"),
    framed: app("framed", "HTTP/2"),
    denied: app("denied", "HTTP/2", '[kittiwake.access]\ndeny = ["127.0.0.1"]'),
    rated: app("rated", "HTTP/2", '[kittiwake.access]\nrate = "1/h"\nburst = 2'),
  },
});
const names = ["plain", "framed", "denied", "rated"];
await eventually(() => names.every((name) => node.node.control.machines(name).every(({ state }) => state === "started")), "the machines");
after(async () => {
  await node[Symbol.asyncDispose]();
  for (const machine of Object.values(machines).flat()) machine.stop();
});

async function ask(client: Protocol, name: string, headers: Headers, body = ""): Promise<Answer> {
  const host = `${name}.localhost`;
  const method = body === "" ? "GET" : "POST";
  if (client === "HTTP/2") {
    using http2 = await Http2Client.connect(node, {}, host);
    const fields = { ":authority": host, ...headers };
    return body === "" ? await http2.get("/", fields) : await http2.post("/", body, fields);
  }
  const sent = requestHttp1({ port: node.httpPort, host: "127.0.0.1", method, headers: { host, ...headers }, agent: false }).end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const text = (await response.setEncoding("utf8").toArray()).join("");
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}

/** Who answered, with which method and body; or else why nobody did. */
function outcomeOf({ status, headers, body }: Answer): string {
  for (const field of Object.keys(headers)) assert.ok(!field.startsWith("fly-replay"), `${field} reached the client`);
  assert.ok(!body.includes("nobody gets this"));
  return status === 200 ? body : `${status} ${headers["kittiwake-error"]}`;
}

for (const [client, machine] of [
  ["HTTP/2", "HTTP/1.1"],
  ["HTTP/2", "HTTP/2"],
  ["HTTP/1.1", "HTTP/2"],
] as const) {
  const name = APP_OF[machine];
  describe(`from ${client} to ${machine}`, () => {
    for (const [title, headers, expected, body] of [
      ["4.1 a region", { "x-order": "region=nrt" }, "nrt GET "],
      ["4.1 a region, with the body", { "x-order": "region=nrt" }, "nrt POST hello", "hello"],
      ["4.1 an instance", { "x-order": `instance=${name}-2` }, "nrt GET "],
      ["4.1 elsewhere", { "x-order": "elsewhere=true" }, "nrt GET "],
      ["4.1 an app that speaks HTTP/1.1 with its machines", { "x-order": "app=plain;region=nrt" }, "nrt POST hello", "hello"],
      ["4.1 an app that speaks HTTP/2 with its machines", { "x-order": "app=framed;region=nrt" }, "nrt POST hello", "hello"],
      ["4.1 a region without machines", { "x-order": "region=syd" }, "503 no_machine"],
      ["4.1 what cannot be read", { "x-order": "region=" }, "502 replay_malformed"],
      ["4.2 fallback to itself", { "x-order": "region=syd;fallback=force_self" }, "ams POST hello", "hello"],
      ["4.7 prefer-region", { "fly-prefer-region": "syd,nrt" }, "nrt GET "],
      ["4.7 force-region", { "fly-force-region": "nrt" }, "nrt POST hello", "hello"],
      ["4.7 force-region without machines", { "fly-force-region": "syd" }, "503 no_machine"],
      ["4.7 force-instance-id", { "fly-force-instance-id": `${name}-2` }, "nrt GET "],
    ] as const) {
      test(title, async () => {
        assert.equal(outcomeOf(await ask(client, name, headers, body)), expected);
      });
    }

    test("4.2, 4.4, 4.7 the machine is told where it comes from, and what failed", async () => {
      const told = async (headers: Headers): Promise<Answer["headers"]> => (await ask(client, name, headers)).headers;
      const { src, failed } = await told({ "x-order": "region=nrt;state=a b" });
      assert.match(String(src), new RegExp(`^instance=${name}-1;region=ams;t=\\d+;state=a b$`));
      assert.equal(failed, "");
      const back = await told({ "x-order": "region=syd;fallback=force_self" });
      assert.match(String(back["failed"]), new RegExp(`^app=${name};region=syd;replay_source=${name}-1;reason=no_candidate;`));
      assert.equal(back["src"], "");
      assert.equal((await told({ "fly-prefer-instance-id": "gone" }))["unavailable"], "gone");
    });
  });
}

for (const machine of ["HTTP/1.1", "HTTP/2"] as const) {
  test(`4.1 streams of one connection are replayed each by itself, with machines that speak ${machine}`, async () => {
    const host = `${APP_OF[machine]}.localhost`;
    using client = await Http2Client.connect(node, {}, host);
    const sent = Array.from({ length: 60 }, async (_, i) => {
      const answer = await client.post("/", `${i}`, { ":authority": host, ...(i % 3 === 0 ? {} : { "x-order": "region=nrt" }) });
      return outcomeOf(answer);
    });
    assert.deepEqual(
      await Promise.all(sent),
      Array.from({ length: 60 }, (_, i) => `${i % 3 === 0 ? "ams" : "nrt"} POST ${i}`),
    );
  });
}

test("4.1 the rest of a large answer with an order is not waited for, and costs the machine its stream alone", async () => {
  const [near] = machines["HTTP/2"];
  await ask("HTTP/2", "framed", {});
  const before = near!.connections;
  for (let i = 0; i < 3; i++) {
    const answer = await ask("HTTP/2", "framed", { "x-order": "region=nrt", "x-padding": String(LARGE_BYTES) });
    assert.equal(outcomeOf(answer), "nrt GET ");
  }
  assert.equal(outcomeOf(await ask("HTTP/2", "framed", {})), "ams GET ");
  assert.equal(near!.connections, before);
  await eventually(() => node.node.control.inFlight("framed-1") === 0, "the machine's places to be given back");
});

test("11.3 whoever is denied gets 403 over HTTP/2, stream by stream, and no machine hears of it", async () => {
  const host = "denied.localhost";
  const seen = machines["HTTP/2"].map(({ requests }) => requests);
  using client = await Http2Client.connect(node, {}, host);
  const answers = await Promise.all([
    client.get("/", { ":authority": host }),
    client.post("/", "hello", { ":authority": host }),
    client.get("/", { ":authority": host, "fly-force-region": "nrt" }),
  ]);
  assert.deepEqual(answers.map(outcomeOf), Array(3).fill("403 access_denied"));
  assert.equal((await client.get("/", { ":authority": host })).status, 403, "the connection goes on");
  assert.deepEqual(
    machines["HTTP/2"].map(({ requests }) => requests),
    seen,
  );
});

test("11.3 each stream is a request of its client's address", async () => {
  const host = "rated.localhost";
  using client = await Http2Client.connect(node, {}, host);
  const answers = await Promise.all(Array.from({ length: 4 }, () => client.get("/", { ":authority": host })));
  assert.deepEqual(answers.map(outcomeOf).toSorted(), ["429 rate_limited", "429 rate_limited", "ams GET ", "ams GET "]);
  for (const { status, headers } of answers) if (status === 429) assert.ok(Number(headers["retry-after"]) > 3500);
});
