// Clients and machines that fail at random moments, all at once: no place stays taken, no worker dies, and no response that looks whole is
// wrong or somebody else's. For longer: LASTS_MS=60000 SEED=1 node test/run.ts test/requests/random-failures.test.ts

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { staticApp } from "../support/backend.ts";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client, responseOf, type Http2Response } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { createRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, type Answer } from "../support/scripted-backend.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const LASTS_MS = Number(process.env["LASTS_MS"] ?? 3000);
const CLIENTS = 24;
const HTTP2_CLIENTS = 6;
/** A test has a minute otherwise. */
const LIMIT_MS = LASTS_MS + 60_000;

const edge = await startEdge({
  workers: 2,
  tables: '[timeouts]\nupstream_head = "1s"\nupstream_idle = "300ms"\n[limits]\ncompressors = 4',
});
// The same machine once more, behind everything that http_options can put in between.
const SQUEEZED = "squeezed.localhost";
edge.test.writeApp(
  "squeezed",
  `${staticApp("squeezed", edge.backend.port)}
[http_service.http_options]
compress = true
idle_timeout = 1
[http_service.http_options.response.headers]
Content-Type = "text/plain"
`,
);
await edge.test.node.control.reload();
await eventually(() => edge.test.node.control.machines("squeezed").every(({ state }) => state === "started"), "the squeezed machine");
after(() => edge[Symbol.asyncDispose]());
const ca = rootOf(edge.test);

const random = createRandom(seed);
const upTo = (most: number): number => Math.floor(random() * most);
const oneOf = <Item>(items: readonly Item[]): Item => items[upTo(items.length)]!;

/** What a whole response to a target holds: nobody else's. */
function bodyFor(target: string): string {
  const [, name, count] = target.split("/");
  return `${name},`.repeat(Number(count));
}

function chunked(body: string): string {
  const at = upTo(body.length);
  const chunks = [body.slice(0, at), body.slice(at)].filter((part) => part !== "");
  return `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("")}0\r\n\r\n`;
}

const MACHINES: readonly Answer[] = [
  ({ target }) => response(bodyFor(target)),
  ({ target }) => response(bodyFor(target)),
  ({ target }) => chunked(bodyFor(target)),
  ({ target }) => `HTTP/1.1 103 Early Hints\r\n\r\n${chunked(bodyFor(target))}`,
  ({ target }) => response(bodyFor(target), ["connection: close"]),
  ({ target }, connection) => end(connection, () => connection.send(`HTTP/1.1 200 OK\r\n\r\n${bodyFor(target)}`).end()),
  ({ target }, connection) => end(connection, () => connection.send(response(bodyFor(target)).slice(0, -1)).end()),
  ({ target }, connection) => end(connection, () => connection.send(chunked(bodyFor(target)).slice(0, -2)).socket.destroySoon()),
  ({ target }, connection) => end(connection, () => void connection.send(response(bodyFor(target)).slice(0, -2)).reset()),
  // Only where it is one packet: what comes later, on a connection in use again, is a response like any other.
  ({ target }) => response(bodyFor(target)) + (target.endsWith("000") ? "" : oneOf(["x", "\r\n", response("STOLEN")])),
  (_, connection) => end(connection, () => connection.reset()),
  (_, connection) => end(connection, () => connection.socket.destroy()),
  () => "nonsense\r\n\r\n",
  (_, connection) => end(connection, () => answerUpgrade(connection)),
  () => "",
];

/** A tunnel that ends when the client ends its side: one that is open on one side only is open. */
function answerUpgrade(connection: RawClient): void {
  connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello");
  if (connection.ended) connection.end();
  else connection.socket.once("end", () => connection.end());
}

/** Leaves the connection to what is done with it, now or a little later. */
function end(connection: RawClient, act: () => void): null {
  if (random() < 0.5) act();
  else setTimeout(() => connection.socket.destroyed || act(), upTo(20));
  return null;
}

const outcomes: Record<string, number> = {};

async function runClient(name: string, untilMs: number): Promise<void> {
  while (performance.now() < untilMs) {
    const isSecure = random() < 0.3;
    const host = oneOf([HOST, HOST, SQUEEZED]);
    using client = isSecure
      ? await RawClient.connectTls(edge.test.httpsPort, { ca, servername: host })
      : await RawClient.connect(edge.port);
    for (let i = upTo(8); i >= 0 && !client.ended; i--) {
      const outcome = await exchange(client, host, `/${name}${i}/${oneOf([1, 100, 30_000])}`);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (outcome === "left") break;
    }
  }
}

async function exchange(client: RawClient, host: string, target: string): Promise<string> {
  const body = "b".repeat(oneOf([0, 10, 200_000]));
  const requests = [
    get(target),
    head("POST", target, [`content-length: ${body.length}`]) + body,
    `${head("PUT", target, ["transfer-encoding: chunked"])}${body === "" ? "" : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`,
    get(target, ["connection: upgrade", "upgrade: websocket"]),
  ];
  const asked = host === HOST ? HOST : `${SQUEEZED}\r\naccept-encoding: ${oneOf(["gzip", "br", "zstd", "identity"])}`;
  const bytes = oneOf(requests).replace(HOST, asked);
  const isLeaving = random() < 0.25;
  client.send(isLeaving ? bytes.slice(0, 1 + upTo(bytes.length)) : bytes);
  if (isLeaving) {
    await delay(upTo(10));
    oneOf([() => client.reset(), () => client.socket.destroy()])();
    return "left";
  }
  try {
    let answer = await client.response();
    while (answer.status === 103) answer = await client.response();
    if (answer.status === 200) assert.equal(contentOf(answer), bodyFor(target));
    if (answer.status === 101) client.reset();
    return answer.header("kittiwake-error") ?? String(answer.status);
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return client.wasReset ? "reset" : "ended";
  }
}

/** Several streams at once, some of which the client gives up, and sometimes the whole connection. */
async function runHttp2Client(name: string, untilMs: number): Promise<void> {
  for (let i = 0; performance.now() < untilMs; i++) {
    using client = await Http2Client.connect(edge.test);
    const isLeaving = random() < 0.3;
    if (isLeaving) setTimeout(() => leave(client), upTo(40));
    const streams = Array.from({ length: 1 + upTo(8) }, (_, j) => exchangeHttp2(client, `/${name}${i}-${j}/${oneOf([1, 100, 30_000])}`));
    for (const outcome of await Promise.all(streams)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (!isLeaving && random() < 0.5) client.session.close();
  }
}

const left = new WeakSet<Http2Client>();

function leave(client: Http2Client): void {
  left.add(client);
  client.session.destroy();
}

async function exchangeHttp2(client: Http2Client, target: string): Promise<string> {
  const body = "b".repeat(oneOf([0, 10, 100_000]));
  if (client.session.destroyed) return "h2 left";
  const stream = client.open({ ":path": target, ":method": oneOf(["GET", "POST", "PUT"]) }, body === "");
  if (body !== "") stream.end(oneOf([body, body, body.slice(0, upTo(body.length))]));
  if (random() < 0.25) setTimeout(() => stream.close(8), upTo(20));
  let answer: Http2Response;
  try {
    answer = await responseOf(stream);
  } catch {
    return "h2 ended";
  }
  // Where the client itself left, Node reports an end like any other.
  if (left.has(client)) return "h2 left";
  if (answer.status === 200) assert.equal(answer.body, bodyFor(target));
  return `h2 ${String(answer.headers["kittiwake-error"] ?? answer.status)}`;
}

function contentOf(answer: Message): string {
  const bytes = Buffer.from(answer.body, "latin1");
  switch (answer.header("content-encoding")) {
    case "gzip":
      return gunzipSync(bytes).toString();
    case "br":
      return brotliDecompressSync(bytes).toString();
    case "zstd":
      return zstdDecompressSync(bytes).toString();
    default:
      return answer.body;
  }
}

test(`for ${LASTS_MS} ms (seed ${seed})`, { timeout: LIMIT_MS }, async () => {
  await edge.backend.answers((request, connection) => oneOf(MACHINES)(request, connection));
  const untilMs = performance.now() + LASTS_MS;
  await Promise.all([
    ...Array.from({ length: CLIENTS }, (_, i) => runClient(`c${i}-`, untilMs)),
    ...Array.from({ length: HTTP2_CLIENTS }, (_, i) => runHttp2Client(`s${i}-`, untilMs)),
  ]);
  console.log(`# ${JSON.stringify(outcomes)}`);
  assert.deepEqual(
    edge.test.events.filter(({ type }) => type === "worker_replaced"),
    [],
  );
  assert.equal(outcomes["internal"], undefined);
  await edge.untilReleased();
  await eventually(() => edge.test.node.control.inFlight("squeezed-1") === 0, "the squeezed machine's places to be given back");
  await edge.backend.answers(({ target }) => response(bodyFor(target)));
  for (let i = 0; i < 10; i++) {
    using client = await edge.connect();
    assert.equal((await client.send(get(`/after${i}/3`)).response()).body, bodyFor(`/after${i}/3`));
    client.send(get(`/after${i}/3000`, ["accept-encoding: gzip"]).replace(HOST, SQUEEZED));
    const squeezed = await client.response();
    assert.equal(squeezed.header("content-encoding"), "gzip", "every compressor was given back");
    assert.equal(contentOf(squeezed), bodyFor(`/after${i}/3000`));
  }
  await eventually(async () => {
    await edge.test.node.control.metrics();
    return edge.test.node.control.status().workers.every(({ connections }) => connections === 0);
  }, "all clients to be forgotten");
});
