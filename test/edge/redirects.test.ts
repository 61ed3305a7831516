// Where a plain-text request is sent to come back over HTTPS, through a port mapping or not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RequestDecoder, type Http1RequestHead } from "../../src/http/http1/request-decoder.ts";
import { httpsLocation, type HttpsPorts } from "../../src/edge/redirects.ts";

const MAPPED: HttpsPorts = { boundHttp: 8080, boundHttps: 8443 };
const USUAL: HttpsPorts = { boundHttp: 80, boundHttps: 443 };

function locationOf(requestLine: string, host: string, ports: HttpsPorts): string {
  let location = "";
  const onHead = (head: Http1RequestHead): void => void (location = httpsLocation(head, ports));
  const decoder = new RequestDecoder(
    { headBytes: 1024, targetBytes: 1024, headers: 8, underscores: "drop", trailerBytes: 64, trailers: 4, chunkExtensionBytes: 64 },
    { onHead, onData: () => undefined, onTrailers: () => undefined, onEnd: () => undefined },
  );
  const bytes = Buffer.from(`${requestLine} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, "latin1");
  decoder.decode(bytes, 0, bytes.length);
  return location;
}

const CASES: readonly (readonly [title: string, requestLine: string, host: string, ports: HttpsPorts, location: string])[] = [
  ["a client that named our port gets our HTTPS port", "GET /x?y=1", "hello.localhost:8080", MAPPED, "https://hello.localhost:8443/x?y=1"],
  ["one that named none came through a mapping", "GET /x?y=1", "hello.localhost", MAPPED, "https://hello.localhost/x?y=1"],
  ["one that named another came through a mapping", "GET /", "hello.localhost:9999", MAPPED, "https://hello.localhost/"],
  ["the usual ports are not named", "GET /", "hello.localhost:80", USUAL, "https://hello.localhost/"],
  [
    "a mapped HTTPS port behind the usual HTTP port is not named where no port was",
    "GET /",
    "a",
    { boundHttp: 80, boundHttps: 8443 },
    "https://a/",
  ],
  ["the usual HTTPS port is not named behind another HTTP port", "GET /", "a:8080", { boundHttp: 8080, boundHttps: 443 }, "https://a/"],
  ["the host comes in its one form", "GET /", "HELLO.localhost.:8080", MAPPED, "https://hello.localhost:8443/"],
  ["an IPv6 address keeps its brackets", "GET /", "[::1]:8080", MAPPED, "https://[::1]:8443/"],
  ["an empty port is none", "GET /", "a:", MAPPED, "https://a/"],
  ["the path and query are left as they are", "GET //a/%2e%2e/?b=c&d", "a", MAPPED, "https://a//a/%2e%2e/?b=c&d"],
  ["a target in absolute form leads to its host", "GET http://a:8080/b", "a:8080", MAPPED, "https://a:8443/b"],
  ["the server as a whole is its root", "OPTIONS *", "a", MAPPED, "https://a/"],
];

for (const [title, requestLine, host, ports, location] of CASES) {
  test(title, () => assert.equal(locationOf(requestLine, host, ports), location));
}
