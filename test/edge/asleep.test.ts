// Whom a page may answer while a machine wakes, what may be answered without waking one, and what the page says. Issue 5 part 6.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";

import { RequestDecoder, type Http1RequestHead } from "../../src/http/http1/request-decoder.ts";
import { isNavigation } from "../../src/edge/navigation.ts";
import { WAIT_PAGE_POLICY, waitPage } from "../../src/edge/wait-page.ts";
import { sleepAnswer } from "../../src/edge/wake-guard.ts";

const LIMITS = { headBytes: 4096, targetBytes: 1024, headers: 16, trailerBytes: 64, trailers: 4, chunkExtensionBytes: 64 };

function about<Result>(requestLine: string, lines: readonly string[], what: (head: Http1RequestHead) => Result): Result {
  const found: Result[] = [];
  const onHead = (head: Http1RequestHead): void => void found.push(what(head));
  const nothing = (): void => undefined;
  const decoder = new RequestDecoder({ ...LIMITS, underscores: "drop" }, { onHead, onData: nothing, onTrailers: nothing, onEnd: nothing });
  const bytes = Buffer.from(`${requestLine} HTTP/1.1\r\n${["host: a", ...lines, "", ""].join("\r\n")}`, "latin1");
  decoder.decode(bytes, 0, bytes.length);
  return found[0]!;
}

const NAVIGATES = ["sec-fetch-mode: navigate", "sec-fetch-dest: document"];
const HTML = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

describe("a page may answer", () => {
  for (const [title, requestLine, lines, expected] of [
    ["a navigation by fetch metadata", "GET /", NAVIGATES, true],
    ["one of an older browser, or over plain HTTP, by what it accepts", "GET /a?b", [HTML], true],
    ["not a fetch of a script's, whatever it accepts", "GET /", ["sec-fetch-mode: cors", "sec-fetch-dest: empty", HTML], false],
    ["not a frame", "GET /", ["sec-fetch-mode: navigate", "sec-fetch-dest: iframe", HTML], false],
    ["not half of fetch metadata", "GET /", ["sec-fetch-mode: navigate", HTML], false],
    ["not a mode that is sent twice", "GET /", [...NAVIGATES, "sec-fetch-mode: cors"], false],
    ["not who takes anything", "GET /", ["accept: */*"], false],
    ["not who says nothing", "GET /", [], false],
    ["not who prefers JSON", "GET /", ["accept: application/json, text/html;q=0.5"], false],
    ["not a form", "POST /", [...NAVIGATES, "content-length: 0"], false],
    ["not HEAD", "HEAD /", NAVIGATES, false],
    ["not a part of something", "GET /", [...NAVIGATES, "range: bytes=0-1"], false],
    ["not an upgrade", "GET /", [...NAVIGATES, "connection: upgrade", "upgrade: websocket"], false],
    ["not a GET with a body", "GET /", [...NAVIGATES, "content-length: 1"], false],
    ["not a script that says so", "GET /", [HTML, "x-requested-with: XMLHttpRequest"], false],
    ["not a crawler", "GET /", [HTML, "user-agent: Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"], false],
  ] as const) {
    test(title, () => assert.equal(about(requestLine, lines, isNavigation), expected));
  }
});

describe("what can be answered without a wake", () => {
  for (const [requestLine, userAgent, expected] of [
    ["GET /robots.txt", "curl/8", "robots"],
    ["HEAD /robots.txt", "curl/8", "robots"],
    ["GET /favicon.ico", "Mozilla/5.0", "favicon"],
    ["POST /robots.txt", "curl/8", null],
    ["GET /robots.txt?x", "curl/8", null],
    ["GET /a/robots.txt", "curl/8", null],
    ["GET /", "curl/8", null],
    ["POST /", "kube-probe/1.31", null],
    ["GET /health", "kube-probe/1.31", "health-checks"],
    ["GET /", "ELB-HealthChecker/2.0", "health-checks"],
    ["GET /", "GoogleHC/1.0", "health-checks"],
    ["GET /", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "health-checks"],
    ["HEAD /", "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", "health-checks"],
    ["GET /", "Mozilla/5.0 (X11; Linux x86_64) StatusCake", "health-checks"],
    ["GET /", "Better Uptime Bot Mozilla/5.0 (Windows NT 10.0)", "health-checks"],
    ["GET /", "Site24x7", "health-checks"],
    ["GET /", "Consul Health Check", "health-checks"],
    ["GET /", "Blackbox Exporter/0.25.0", "health-checks"],
    ["GET /", "Uptime-Kuma/1.23.13", "health-checks"],
    ["GET /", "Amazon-Route53-Health-Check-Service (ref x; report http://amzn.to/1vsZADi)", "health-checks"],
  ] as const) {
    test(`${requestLine} of ${userAgent}: ${expected ?? "nothing"}`, () => {
      const lines = requestLine.startsWith("POST") ? ["content-length: 0"] : [];
      assert.equal(about(requestLine, [`user-agent: ${userAgent}`, ...lines], sleepAnswer), expected);
    });
  }
});

test("the page names its style and script by their hashes, loads nothing else, and escapes what it is told", () => {
  const html = waitPage({ app: "<b>&", leftMs: 2400, elapsedMs: 100, requestId: '"><script>' });
  for (const tag of ["style", "script"]) {
    const parts = [...html.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, "g"))].map((match) => match[1]!);
    assert.equal(parts.length, 1, tag);
    assert.ok(WAIT_PAGE_POLICY.includes(`${tag}-src 'sha256-${createHash("sha256").update(parts[0]!).digest("base64")}'`), tag);
  }
  assert.ok(WAIT_PAGE_POLICY.startsWith("default-src 'none'; "));
  assert.doesNotMatch(html, /<b>|https?:| style=| on[a-z]+=/);
  assert.match(html, /<title>Waking &#60;b&#62;&#38;<\/title>/);
  assert.match(html, /<noscript><meta http-equiv="refresh" content="4"><\/noscript>/);
});
