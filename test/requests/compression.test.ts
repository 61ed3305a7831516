// Compression at the edge: what is compressed and what is not, what a client can rely on in the head, and that nothing of a body is late,
// lost or held for ever.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { constants, type ClientHttp2Stream } from "node:http2";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import {
  brotliDecompressSync,
  createBrotliDecompress,
  createGunzip,
  createZstdDecompress,
  gunzipSync,
  zstdDecompressSync,
} from "node:zlib";
import { startBackend, staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { get, head, HOST, startEdge } from "../support/edge.ts";
import { Http2Client, responseOf } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import { response } from "../support/scripted-backend.ts";
import { digestOf, Torrent } from "../support/torrent.ts";

const TEXT = Buffer.from(Array.from({ length: 200_000 }, (_, i) => `line ${i} of ${i * 7919}, and some more text\n`).join(""));
/** 10 MB each. */
const BODIES: Readonly<Record<string, Buffer>> = { "/text": TEXT.subarray(0, 10_000_000), "/noise": randomBytes(10_000_000) };
const CODINGS = ["zstd", "br", "gzip"] as const;
const DECOMPRESS = { zstd: zstdDecompressSync, br: brotliDecompressSync, gzip: gunzipSync };
const DECOMPRESSOR = { zstd: createZstdDecompress, br: createBrotliDecompress, gzip: createGunzip };
const LARGE = "All work and no play makes Jack a dull boy.\n".repeat(100);
const COMPRESS = "\n[http_service.http_options]\ncompress = true\n";

/** Answers of a real server, by path. */
let serve: (request: IncomingMessage, answer: ServerResponse) => void = (_, answer) => answer.end();
const server = await startBackend((request, answer) => serve(request, answer));
const edge = await startEdge({
  edit: (text) => text + COMPRESS,
  tables: "[limits]\ncompressors = 2",
  apps: {
    served: staticApp("served", server.port) + COMPRESS,
    plain: staticApp("plain", server.port),
  },
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

interface Options {
  readonly accept?: string;
  readonly lines?: readonly string[];
  readonly body?: string;
  readonly status?: string;
  readonly asked?: readonly string[];
  readonly method?: string;
}

/** The response to a client that takes gzip, of a machine that sends this. */
async function answered(options: Options = {}): Promise<Message> {
  const { accept = "gzip", lines = ["content-type: text/html"], body = LARGE, status, asked = [], method = "GET" } = options;
  await edge.backend.answers(() => {
    const whole = response(body, lines, status);
    return method === "HEAD" ? whole.slice(0, whole.indexOf("\r\n\r\n") + 4) : whole;
  });
  using client = await edge.connect();
  return await client.send(head(method, "/", [`accept-encoding: ${accept}`, ...asked])).response({ toHead: method === "HEAD" });
}

function isCompressed(answer: Message): boolean {
  return answer.header("content-encoding") !== null;
}

/** One request to the real server, through the edge. */
function open(path: string, accept: string, app = "served"): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${app}.localhost`, "accept-encoding": accept };
    httpRequest({ port: edge.port, host: "127.0.0.1", path, headers, agent: false }, resolve).on("error", reject).end();
  });
}

async function fetchAll(path: string, accept: string, app?: string): Promise<{ headers: IncomingHttpHeaders; body: Buffer }> {
  const answer = await open(path, accept, app);
  return { headers: answer.headers, body: Buffer.concat(await answer.toArray()) };
}

describe("a compressed response", () => {
  for (const coding of CODINGS) {
    test(`in ${coding} is what the machine sent, named and smaller, and its length is not told`, async () => {
      const answer = await answered({ accept: coding });
      assert.equal(answer.header("content-encoding"), coding);
      assert.equal(answer.header("content-length"), null);
      assert.equal(answer.framing, "chunked");
      assert.ok(answer.body.length < LARGE.length / 10);
      assert.equal(DECOMPRESS[coding](Buffer.from(answer.body, "latin1")).toString(), LARGE);
    });
  }

  test("is in the coding that the client likes best", async () => {
    assert.equal((await answered({ accept: "gzip;q=1, br;q=0.5" })).header("content-encoding"), "gzip");
    assert.equal((await answered({ accept: "gzip, br, zstd" })).header("content-encoding"), "zstd");
    assert.equal((await answered({ accept: "gzip;q=0.2", asked: ["Accept-Encoding: br;q=0.3"] })).header("content-encoding"), "br");
  });

  test("says that it depends on Accept-Encoding, once, and has the edge's own fields", async () => {
    assert.equal((await answered()).header("vary"), "accept-encoding");
    assert.deepEqual((await answered({ lines: ["content-type: text/css", "Vary: Cookie"] })).all("vary"), ["Cookie", "accept-encoding"]);
    for (const vary of ["Accept-Encoding", "Cookie, ACCEPT-ENCODING", "*"]) {
      assert.equal((await answered({ lines: ["content-type: text/css", `Vary: ${vary}`] })).header("vary"), vary);
    }
    const answer = await answered();
    assert.deepEqual([answer.header("server"), answer.header("via")], ["kittiwake", "1.1 kittiwake"]);
  });

  test("has a weak validator, and promises no ranges", async () => {
    const strong = await answered({ lines: ["content-type: text/css", 'ETag: "abc"', "Accept-Ranges: bytes"] });
    assert.equal(strong.header("etag"), 'W/"abc"');
    assert.equal(strong.header("accept-ranges"), null);
    assert.equal((await answered({ lines: ["content-type: text/css", 'ETag: W/"abc"'] })).header("etag"), 'W/"abc"');
  });

  test("may be of any status that has a body, an error of the app as well", async () => {
    for (const status of ["200 OK", "201 Created", "404 Not Found", "500 Broken"]) {
      const answer = await answered({ status });
      assert.equal(answer.startLine, `HTTP/1.1 ${status}`);
      assert.equal(gunzipSync(Buffer.from(answer.body, "latin1")).toString(), LARGE);
    }
  });

  test("in answer to HEAD is described as GET would get it, without a length", async () => {
    const answer = await answered({ method: "HEAD", lines: ["content-type: text/css", 'ETag: "a"'] });
    assert.equal(answer.header("content-encoding"), "gzip");
    assert.equal(answer.header("vary"), "accept-encoding");
    assert.equal(answer.header("etag"), 'W/"a"');
    assert.equal(answer.header("content-length"), null);
  });

  test("leaves the connection fit for the next request, and others as they are", async () => {
    await edge.backend.answers(({ target }) => response(LARGE, [`content-type: ${target === "/css" ? "text/css" : "image/png"}`]));
    using client = await edge.connect();
    for (const target of ["/css", "/png", "/css", "/css"]) {
      const answer = await client.send(get(target, ["accept-encoding: br"])).response();
      assert.equal(isCompressed(answer), target === "/css");
    }
    client.send(get("/css", ["accept-encoding: gzip"]).repeat(3));
    for (let i = 0; i < 3; i++) {
      assert.equal(gunzipSync(Buffer.from((await client.response()).body, "latin1")).toString(), LARGE);
    }
  });

  test("keeps its trailers behind it", async () => {
    await edge.backend.answers(
      () =>
        `HTTP/1.1 200 OK\r\ncontent-type: text/css\r\ntransfer-encoding: chunked\r\n\r\n${LARGE.length.toString(16)}\r\n${LARGE}\r\n0\r\nx-sum: 42\r\n\r\n`,
    );
    using client = await edge.connect();
    client.send(get("/", ["accept-encoding: gzip", "connection: close"]));
    assert.match(await client.untilEnd(), /\r\n0\r\nx-sum: 42\r\n\r\n$/);
  });

  test("is logged with the bytes that left", async () => {
    const answer = await answered({ asked: ["user-agent: the-compressed-one"] });
    const line = (): string | undefined =>
      readFileSync(join(edge.test.dir, "node.log"), "utf8")
        .split("\n")
        .find((text) => text.includes("the-compressed-one"));
    await eventually(() => line() !== undefined, "the line in the access log");
    const { bytes_out: logged } = JSON.parse(line()!) as { bytes_out: number };
    assert.ok(logged > 100 && logged <= answer.raw.length, `${logged} of ${answer.raw.length}`);
  });
});

describe("left as it is", () => {
  const type = "content-type: text/css";
  const cases: readonly (readonly [what: string, options: Options])[] = [
    ["what the client does not want compressed", { accept: "identity" }],
    ["what the client wants in codings that nobody here speaks", { accept: "deflate, compress" }],
    ["what is encoded already", { lines: [type, "Content-Encoding: deflate"] }],
    ["a type that gains nothing", { lines: ["content-type: image/png"] }],
    ["what has no type", { lines: [] }],
    ["an event stream", { lines: ["content-type: text/event-stream"] }],
    ["what fits into a packet", { body: "x".repeat(1023) }],
    ["what must not be transformed", { lines: [type, "Cache-Control: public, No-Transform, max-age=1"] }],
    ["what the client will not have transformed", { asked: ["cache-control: no-transform"] }],
    ["a part of something", { status: "206 Partial Content", lines: [type, "content-range: bytes 0-4399/5000"] }],
    ["what has a digest", { lines: [type, "Content-Digest: sha-256=:AAAA:"] }],
    ["an empty body", { body: "" }],
  ];
  for (const [what, options] of cases) {
    test(what, async () => {
      const answer = await answered(options);
      const { body = LARGE, lines = [] } = options;
      assert.equal(answer.header("content-encoding"), lines.some((line) => line.endsWith("deflate")) ? "deflate" : null);
      assert.equal(answer.header("content-length"), String(body.length));
      assert.equal(answer.body, body);
    });
  }

  test("what has no Accept-Encoding at all", async () => {
    await edge.backend.answers(() => response(LARGE, ["content-type: text/css"]));
    using client = await edge.connect();
    const answer = await client.send(get()).response();
    assert.deepEqual([answer.body, answer.header("vary")], [LARGE, "accept-encoding"]);
  });

  test("what the app opts out of compression by Content-Encoding: none, which does not reach the client", async () => {
    for (const none of ["none", "None"]) {
      const answer = await answered({ lines: ["content-type: text/css", `Content-Encoding: ${none}`] });
      assert.deepEqual([answer.all("content-encoding"), answer.body, answer.header("vary")], [[], LARGE, null]);
    }
  });

  test("204 and 304, which have no body", async () => {
    for (const status of ["204 No Content", "304 Not Modified"]) {
      await edge.backend.answers(() => `HTTP/1.1 ${status}\r\ncontent-type: text/css\r\netag: "a"\r\n\r\n`);
      using client = await edge.connect();
      const answer = await client.send(get("/", ["accept-encoding: gzip"])).response();
      assert.deepEqual([isCompressed(answer), answer.header("etag"), answer.header("vary")], [false, '"a"', null]);
    }
  });

  test("what a client of HTTP/1.0 asks for", async () => {
    await edge.backend.answers(() => response(LARGE, ["content-type: text/css"]));
    const received = await edge.exchange(`GET / HTTP/1.0\r\nhost: ${HOST}\r\naccept-encoding: gzip\r\n\r\n`);
    assert.ok(received.endsWith(LARGE));
  });

  test("a service that did not ask for it, and then nothing says that it could be otherwise", async () => {
    serve = (_, answer) => answer.writeHead(200, { "content-type": "text/css", etag: '"a"' }).end(LARGE);
    const { headers, body } = await fetchAll("/", "gzip", "plain");
    assert.deepEqual([headers["content-encoding"], headers.vary, headers.etag, body.toString()], [undefined, undefined, '"a"', LARGE]);
  });
});

test("what a client does not take as it is is compressed however small, and of whichever type", async () => {
  const answer = await answered({ accept: "identity;q=0, gzip", body: "tiny", lines: ["content-type: image/png"] });
  assert.equal(gunzipSync(Buffer.from(answer.body, "latin1")).toString(), "tiny");
  assert.equal((await answered({ accept: "identity;q=0, deflate" })).body, LARGE);
});

test("a client that asks whether its compressed copy is fresh is told by the validator that it knows", async () => {
  const lines = ["content-type: text/css", 'ETag: "v1"'];
  const { fields } = await answered({ lines });
  const known = fields.find(([name]) => name === "etag")![1];
  await edge.backend.answers(() => 'HTTP/1.1 304 Not Modified\r\netag: "v1"\r\n\r\n');
  using client = await edge.connect();
  const answer = await client.send(get("/", ["accept-encoding: gzip", `if-none-match: "v0", ${known}`])).response();
  assert.deepEqual([answer.status, answer.header("etag"), answer.header("vary")], [304, 'W/"v1"', "accept-encoding"]);
});

for (const coding of CODINGS) {
  test(`a body that grows slowly arrives as it grows, in ${coding}`, async () => {
    let more!: (text: string) => void;
    serve = (_, answer) => {
      answer.writeHead(200, { "content-type": "text/html" });
      more = (text) => (text === "" ? answer.end() : answer.write(text));
      more("first");
    };
    const answer = await open("/", coding);
    assert.equal(answer.headers["content-encoding"], coding);
    let seen = "";
    answer.pipe(DECOMPRESSOR[coding]()).on("data", (part: Buffer) => (seen += part.toString()));
    // The next is sent only when the one before has come out at the client's end.
    for (const [sent, all] of [
      ["-second", "first"],
      ["-third", "first-second"],
      ["", "first-second-third"],
    ] as const) {
      await eventually(() => seen === all, `"${all}"`);
      more(sent);
    }
    await once(answer, "end");
  });

  test(`10 MB arrive byte for byte in ${coding}, text and noise, of known and of unknown length`, async () => {
    serve = ({ url = "" }, answer) => {
      const [path = "", isKnown] = url.split("?");
      const body = BODIES[path]!;
      const length = isKnown === undefined ? {} : { "content-length": body.length };
      answer.writeHead(200, { "content-type": "text/plain", ...length }).end(body);
    };
    for (const path of ["/text", "/text?known", "/noise", "/noise?known"]) {
      const { headers, body } = await fetchAll(path, coding);
      assert.equal(headers["content-encoding"], coding);
      assert.ok(DECOMPRESS[coding](body).equals(BODIES[path.split("?")[0]!]!), path);
    }
  });

  // What makes the machine wait is the same for all codings.
  for (const protocol of coding === "zstd" ? ["HTTP/1.1", "HTTP/2"] : ["HTTP/1.1"]) {
    test(`a client of ${protocol} that reads slowly makes the machine wait, and gets everything, in ${coding}`, async () => {
      const { promise: answered, resolve: onAnswer } = Promise.withResolvers<Torrent>();
      serve = (_, answer) => onAnswer(new Torrent(answer.writeHead(200, { "content-type": "text/plain" })));
      using client = await Http2Client.connect(edge.test, {}, "served.localhost");
      const headers = { ":authority": "served.localhost", "accept-encoding": coding };
      const answer = protocol === "HTTP/2" ? client.open(headers) : await open("/", coding);
      answer.pause();
      // It stops when every buffer on the way is full.
      const torrent = await answered;
      await torrent.untilStopped();
      const sum = torrent.end();
      assert.equal(await digestOf(answer.pipe(DECOMPRESSOR[coding]())), sum);
    });
  }
}

test("a client of HTTP/2 gets the same: compressed, streamed, with trailers, and with the app's own headers", async () => {
  await edge.backend.answers((_, machine) => {
    const part = LARGE.slice(0, LARGE.length / 2);
    const chunk = `${part.length.toString(16)}\r\n${part}\r\n`;
    machine.send(`HTTP/1.1 200 OK\r\ncontent-type: text/css\r\netag: "a"\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`);
    void secondWanted.promise.then(() => machine.send(`${chunk}0\r\nx-sum: 42\r\n\r\n`));
    return null;
  });
  const secondWanted = Promise.withResolvers<void>();
  using client = await Http2Client.connect(edge.test);
  const stream = client.open({ ":path": "/", "accept-encoding": "br" });
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  assert.deepEqual([headers["content-encoding"], headers.vary, headers.etag], ["br", "accept-encoding", 'W/"a"']);
  assert.deepEqual([headers["content-length"], headers.server], [undefined, "kittiwake"]);
  let seen = "";
  const trailers = once(stream, "trailers");
  stream.pipe(createBrotliDecompress()).on("data", (part: Buffer) => (seen += part.toString()));
  await eventually(() => seen.length === LARGE.length / 2, "the first half");
  secondWanted.resolve();
  const [sum] = (await trailers) as [IncomingHttpHeaders];
  await eventually(() => seen === LARGE, "the second half");
  assert.equal(sum["x-sum"], "42");
  await edge.backend.answers(() => "HTTP/1.1 200 OK\r\ncontent-type: text/css\r\ncontent-length: 5000\r\n\r\n");
  const described = await client.get("/", { ":method": "HEAD", "accept-encoding": "gzip" });
  assert.deepEqual([described.headers["content-encoding"], described.headers["content-length"]], ["gzip", undefined]);
});

test("streams of one connection are compressed side by side, and one that is reset gives back what it holds", async () => {
  serve = ({ url = "" }, answer) => void answer.writeHead(200, { "content-type": "text/plain" }).end(url.repeat(20_000));
  using client = await Http2Client.connect(edge.test, {}, "served.localhost");
  const ask = (path: string): ClientHttp2Stream =>
    client.open({ ":authority": "served.localhost", ":path": path, "accept-encoding": "gzip" });
  const left = ask("/left");
  await once(left, "response");
  left.close(constants.NGHTTP2_CANCEL);
  // Two at a time are compressed, and all arrive.
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => responseOf(ask(`/${i}`))));
  for (const [i, { headers, body }] of answers.entries()) {
    const bytes = Buffer.from(body, "latin1");
    const text = headers["content-encoding"] === "gzip" ? gunzipSync(bytes).toString() : body;
    assert.equal(text, `/${i}`.repeat(20_000));
  }
  await eventually(() => edge.test.node.control.inFlight("served-1") === 0, "the places to be given back");
  assert.equal((await fetchAll("/", "gzip")).headers["content-encoding"], "gzip");
});

describe("compressors", () => {
  /** A response that begins, and goes on until it is ended. */
  function endless(): { readonly left: () => number; readonly end: () => void } {
    const open = new Set<ServerResponse>();
    serve = (_, answer) => {
      open.add(answer);
      answer.on("close", () => open.delete(answer));
      answer.writeHead(200, { "content-type": "text/plain" });
      answer.write(LARGE);
    };
    return { left: () => open.size, end: () => open.forEach((answer) => answer.end()) };
  }

  async function codingOfNext(): Promise<string | undefined> {
    const next = await open("/", "gzip");
    const coding = next.headers["content-encoding"];
    assert.equal(next.headers.vary, "accept-encoding");
    leave(next);
    return coding;
  }

  test("are a bounded number: beyond it a response leaves as it is", async () => {
    const machine = endless();
    const [first, second] = [await open("/", "gzip"), await open("/", "br")];
    assert.deepEqual([first.headers["content-encoding"], second.headers["content-encoding"]], ["gzip", "br"]);
    assert.equal(await codingOfNext(), undefined);
    const over = await open("/", "gzip");
    assert.deepEqual([over.headers["content-encoding"], over.headers.vary], [undefined, "accept-encoding"]);
    for (const answer of [first, second, over]) answer.resume();
    machine.end();
    await Promise.all([first, second, over].map((answer) => once(answer, "end")));
    assert.equal(await codingOfNext(), "gzip");
    await eventually(() => edge.test.node.control.inFlight("served-1") === 0, "the places to be given back");
  });

  test("are given back when a client leaves, at any moment", async () => {
    const machine = endless();
    for (let i = 0; i < 20; i++) {
      const answer = await open("/", CODINGS[i % 3]!);
      if (i % 2 === 0) await once(answer, "data");
      leave(answer);
      await eventually(() => machine.left() === 0, "the machine's response to be ended");
    }
    assert.equal(await codingOfNext(), "gzip");
    await eventually(() => edge.test.node.control.inFlight("served-1") === 0, "the places to be given back");
  });

  test("are given back when a machine leaves, and nobody takes the part for the whole", async () => {
    for (let i = 0; i < 6; i++) {
      const coding = CODINGS[i % 3]!;
      await edge.backend.answers((_, machine) => {
        machine.send(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100000\r\n\r\n${LARGE}`);
        if (i < 3) machine.socket.end();
        else machine.reset();
        return null;
      });
      using client = await edge.connect();
      await assert.rejects(client.send(get("/", [`accept-encoding: ${coding}`])).response());
      assert.equal(client.received.includes("\r\n0\r\n\r\n"), false);
      await edge.untilReleased();
    }
    assert.equal(isCompressed(await answered()), true);
  });
});

/** So that the edge can tell it from a client that only sends no more. */
function leave(answer: IncomingMessage): void {
  answer.socket.resetAndDestroy();
}
