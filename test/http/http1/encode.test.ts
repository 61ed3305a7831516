// What goes out: read back alike by our decoders and by Node's, with nothing hop-by-hop left, framed whatever the method.

import assert from "node:assert/strict";
import { METHODS } from "node:http";
import { test } from "node:test";

import fc from "fast-check";
import { RequestDecoder, type Http1RequestHead } from "../../../src/http/http1/request-decoder.ts";
import { ResponseDecoder, type Http1ResponseHead } from "../../../src/http/http1/response-decoder.ts";
import {
  CHUNK_END,
  LAST_CHUNK,
  TRAILERS_END,
  announcementLine,
  chunkStart,
  encodeRequestHead,
  encodeResponseHead,
  framingLine,
  lastChunkWithTrailers,
} from "../../../src/http/http1/encode.ts";
import type { Fields } from "../../../src/http/message.ts";
import { ProxyError } from "../../../src/core/errors.ts";
import { fuzzParameters } from "../seed.ts";
import { requestBytes, responseBytes } from "./message-grammar.ts";
import { NodeOracle } from "./node-oracle.ts";
import { latin1, LIMITS, readRequests, readResponse, type FieldList, type ReadRequest } from "./readers.ts";

const HOP_BY_HOP = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"];
const REWRITTEN = [...HOP_BY_HOP, "host", "content-length", "via"];

/** Sends requests on as an edge does: decoded, encoded anew, bodies in their own framing. Only those that were read to their end. */
function requestsThrough(bytes: Buffer, added = ""): string[] {
  const sent: string[] = [];
  let out = "";
  let isChunked = false;
  let end = "";
  const decoder = new RequestDecoder(LIMITS, {
    onHead(head: Http1RequestHead) {
      isChunked = head.body === "chunked";
      end = isChunked ? LAST_CHUNK : "";
      out = encodeRequestHead(head, added);
    },
    onData(buffer, start, end) {
      const data = buffer.toString("latin1", start, end);
      out += isChunked ? chunkStart(end - start) + data + CHUNK_END : data;
    },
    onTrailers(fields) {
      end = lastChunkWithTrailers(fields) + TRAILERS_END;
    },
    onEnd() {
      sent.push(out + end);
      decoder.next();
    },
  });
  try {
    decoder.decode(bytes, 0, bytes.length);
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
  }
  return sent;
}

/** Sends a response on as an edge does to a client of HTTP/1.1 that did not ask with HEAD. */
function responseThrough(bytes: Buffer, added = ""): string {
  let out = "";
  let isChunked = false;
  let end = "";
  const decoder = new ResponseDecoder(LIMITS);
  const sink = {
    onInterim: (head: Http1ResponseHead) => void (out += encodeResponseHead(head, "")),
    onHead(head: Http1ResponseHead) {
      isChunked = head.body === "chunked" || head.body === "until_close";
      end = isChunked ? LAST_CHUNK : "";
      const isBodyless = head.status === 204 || head.status === 304;
      const framing = isBodyless ? "" : framingLine(head.body, head.contentLength);
      out += encodeResponseHead(head, added + framing + (isChunked ? announcementLine(head.fields) : ""));
    },
    onData(buffer: Buffer, start: number, end: number) {
      const data = buffer.toString("latin1", start, end);
      out += isChunked ? chunkStart(end - start) + data + CHUNK_END : data;
    },
    onTrailers: (fields: Fields) => void (end = lastChunkWithTrailers(fields) + TRAILERS_END),
    onEnd: () => void (out += end),
  };
  decoder.expect(sink as never, false);
  decoder.decode(bytes, 0, bytes.length);
  decoder.finish();
  return out;
}

const through = (text: string): string => requestsThrough(latin1(text)).join("");

test("a request is written anew from what was read", () => {
  const text = "\r\nGET http://EXAMPLE.com?q HTTP/1.1\r\nhOSt: Example.COM\r\nX-A:b\r\nX-C:\t d \r\nx-e: f\r\n\r\n";
  assert.equal(through(text), "GET /?q HTTP/1.1\r\nhost: example.com\r\nX-A: b\r\nX-C: d\r\nx-e: f\r\n\r\n");
});

test("HTTP/1.0 becomes HTTP/1.1", () => {
  assert.equal(through("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
});

test("a request's hop-by-hop fields are left behind, named in Connection or not", () => {
  const hops =
    "Keep-Alive: 1\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nProxy-Authorization: s\r\nX-Hop: 1\r\nX-Stays: 1\r\n";
  const text = `GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x-hop\r\nX-HOP: 2\r\n${hops}\r\n`;
  assert.equal(through(text), "GET / HTTP/1.1\r\nhost: a\r\nX-Stays: 1\r\n\r\n");
});

test("what says whose message it is and where it ends cannot be removed by naming it in Connection", () => {
  const names = "Host, Content-Length, Cookie, Authorization";
  const text = `POST / HTTP/1.1\r\nHost: a\r\nConnection: ${names}\r\nCookie: b\r\nAuthorization: c\r\nContent-Length: 1\r\n\r\nx`;
  assert.equal(through(text), "POST / HTTP/1.1\r\nhost: a\r\nCookie: b\r\nAuthorization: c\r\ncontent-length: 1\r\n\r\nx");
});

test("what the edge says of itself is not taken from the client", () => {
  const forged = [
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Fly-Client-IP",
    "Fly-Region",
    "fly-request-id",
    "Fly-Src",
    "X-Request-Start",
  ];
  const text = `GET / HTTP/1.1\r\nHost: a\r\n${forged.map((name) => `${name}: forged\r\n`).join("")}\r\n`;
  assert.equal(through(text), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
});

test("a body is framed whatever the method", () => {
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "X-OWN"]) {
    const begin = `${method} / HTTP/1.1\r\nhost: a\r\n`;
    for (const rest of ["content-length: 3\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]) {
      assert.equal(through(begin + rest), begin + rest);
    }
  }
});

test("a length of nothing stays, and where there was none, none is added", () => {
  const begin = "POST / HTTP/1.1\r\nhost: a\r\n";
  assert.equal(through(`${begin}Content-Length: 0\r\n\r\n`), `${begin}content-length: 0\r\n\r\n`);
  assert.equal(through(`${begin}\r\n`), `${begin}\r\n`);
});

test("chunks leave without extensions, and with the trailers that may follow them", () => {
  const begin = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
  assert.equal(
    through(`${begin}00a;b=c\r\n0123456789\r\n0;d\r\nTrailer-A:b\r\nHost: c\r\nE: f\r\n\r\n`),
    `${begin}a\r\n0123456789\r\n0\r\nTrailer-A: b\r\nE: f\r\n\r\n`,
  );
});

test("trailers are announced as they were, without those that are dropped, and only where there can be any", () => {
  const fields = "Trailer: X-Sum, host\r\ntrailer:,Server-Timing ,content-length\r\n";
  assert.equal(
    through(`POST / HTTP/1.1\r\nHost: a\r\n${fields}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: X-Sum, Server-Timing\r\n\r\n0\r\n\r\n",
  );
  assert.equal(through(`POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`), "POST / HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.equal(
    responseThrough(latin1(`HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-SUM: 1\r\nAge: 1\r\n\r\n`)),
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: X-Sum, Server-Timing\r\n\r\n1\r\nx\r\n0\r\nx-SUM: 1\r\n\r\n",
  );
});

test("added lines come last in the head", () => {
  const [text] = requestsThrough(latin1("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"), "via: 1.1 kittiwake\r\n");
  assert.equal(text, "GET / HTTP/1.1\r\nhost: a\r\nB: c\r\nvia: 1.1 kittiwake\r\n\r\n");
});

test("a response is written anew from what was read", () => {
  const hops =
    "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nProxy-Authenticate: x\r\nServer: y\r\nVia: 1.0 z\r\nUpgrade: h2c\r\n";
  const text = `HTTP/1.0 404 Not  Found\r\n${hops}X-A:b\r\nSet-Cookie: c\r\nset-cookie: d\r\n\r\nbody`;
  assert.equal(
    responseThrough(latin1(text), "via: 1.1 kittiwake\r\n"),
    "HTTP/1.1 404 Not  Found\r\nX-A: b\r\nSet-Cookie: c\r\nset-cookie: d\r\nvia: 1.1 kittiwake\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
  );
});

test("an interim response is passed on without framing", () => {
  const interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n";
  const final = "HTTP/1.1 204 No Content\r\n\r\n";
  assert.equal(responseThrough(latin1(`${interim}Content-Length: 5\r\nConnection: x\r\n\r\n${final}`)), `${interim}\r\n${final}`);
});

test("a reason without a space keeps a status line that everybody reads", () => {
  assert.equal(responseThrough(latin1("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")), "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n");
});

test("whatever request is accepted leaves as the same request, for us and for Node", async () => {
  const oracle = new NodeOracle();
  await fc.assert(
    fc.asyncProperty(requestBytes, async (bytes) => {
      const sent = requestsThrough(bytes);
      for (const [index, request] of readRequests([bytes]).requests.entries()) {
        // HTTP/1.0 without a Host is refused before anything is sent on.
        if (!request.isComplete || request.host === "") continue;
        const out = latin1(sent[index]!);
        const { requests, error } = readRequests([out]);
        assert.equal(error, null);
        assert.equal(requests.length, 1);
        assert.deepEqual(essence(requests[0]!), essence(request));
        assert.deepEqual(hopByHop(requests[0]!), request.body === "chunked" ? [["transfer-encoding", "chunked"]] : []);
        if (!METHODS.includes(request.method)) continue;
        const [theirs] = await oracle.readRequests(out);
        assert.deepEqual(
          [theirs?.method, theirs?.url, theirs?.data, theirs?.isComplete],
          [request.method, request.target, request.data, true],
        );
      }
    }),
    fuzzParameters(2000),
  );
});

test("whatever response is accepted leaves as the same response, for us and for Node", async () => {
  const oracle = new NodeOracle();
  await fc.assert(
    fc.asyncProperty(responseBytes, async (bytes) => {
      const { final, error } = readResponse([bytes], { closes: true });
      if (error !== null || final === null || final.status === 101) return;
      const out = latin1(responseThrough(bytes));
      const again = readResponse([out]);
      assert.equal(again.error, null);
      assert.equal(again.leftover, "");
      assert.deepEqual([again.final?.status, again.final?.data, again.final?.isComplete], [final.status, final.data, true]);
      if (final.status !== 204 && final.status !== 304) assert.deepEqual(again.final?.trailers, final.trailers);
      const theirs = (await oracle.readResponse(out, "GET")).final;
      assert.deepEqual([theirs?.status, theirs?.data, theirs?.isComplete, theirs?.keepAlive], [final.status, final.data, true, true]);
    }),
    fuzzParameters(1500),
  );
});

/** What an origin acts on: all but the fields that are written anew or left behind. */
function essence({ method, target, host, body, data, trailers, fields, connectionNames }: ReadRequest): Partial<ReadRequest> {
  const kept = fields.filter(([name]) => !REWRITTEN.includes(name) && !(connectionNames ?? []).includes(name));
  return { method, target, host, body, data, trailers, fields: kept };
}

/** An announcement of trailers is one only beside chunks. */
function hopByHop({ fields }: ReadRequest): FieldList {
  const isChunked = fields.some(([name]) => name === "transfer-encoding");
  return fields.filter(([name]) => HOP_BY_HOP.includes(name) && !(isChunked && name === "trailer"));
}
