import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { acmeProblemOf } from "../../../src/certs/acme/problem.ts";
import { AcmeTransport } from "../../../src/certs/acme/transport.ts";
import { ProxyError } from "../../../src/core/errors.ts";
import { ScratchDirectory } from "../fixtures.ts";

const NEVER = new AbortController().signal;
const NOW = Date.UTC(2030, 0, 1);

/** A CA that answers everything alike. */
async function ask(
  t: TestContext,
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  { timeoutMs = 30_000, signal = NEVER } = {},
) {
  const server = createServer((request, response) => answer(response, request)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const transport = await AcmeTransport.open({ caFile: null, now: () => NOW, timeoutMs });
  t.after(async () => {
    await transport.close();
    server.closeAllConnections();
    server.close();
  });
  return await transport.send({ method: "GET", url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dir`, signal });
}

function problem(type: string, detail: string): string {
  return JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail });
}

async function refusal(asking: Promise<unknown>): Promise<ProxyError> {
  const error: unknown = await asking.then(
    () => assert.fail("it was no refusal"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ProxyError);
  assert.equal(error.code, "certificate_unavailable");
  return error;
}

test("an answer comes with its headers, its JSON and the pause that it asks for", async (t) => {
  const reply = await ask(t, (response) =>
    response.writeHead(200, { "Content-Type": "application/json", "Retry-After": "7", "X-A": "b" }).end('{"a":1}'),
  );
  assert.deepEqual([reply.status, reply.data, reply.retryAfterMs, reply.headers["x-a"]], [200, { a: 1 }, 7000, "b"]);
});

test("a rate limit is told from other refusals, with the moment from which on to try again", async (t) => {
  const limit = { "Content-Type": "application/problem+json", "Retry-After": "3600" };
  const error = await refusal(ask(t, (response) => response.writeHead(429, limit).end(problem("rateLimited", "too many certificates"))));
  assert.equal(error.message, "the authority's rate limit is reached (rateLimited, status 429): too many certificates");
  const { kind, retryAtMs } = acmeProblemOf(error)!;
  assert.deepEqual([kind, retryAtMs], ["limited", NOW + 3_600_000]);

  const byDate = { "Retry-After": new Date(NOW + 60_000).toUTCString() };
  const busy = await refusal(ask(t, (response) => response.writeHead(503, byDate).end("busy")));
  assert.deepEqual([acmeProblemOf(busy)!.kind, acmeProblemOf(busy)!.retryAtMs], ["failing", NOW + 60_000]);
});

test("a pause that makes no sense is none, and none is longer than a month", async (t) => {
  for (const [header, ms] of [
    ["soon", null],
    ["-5", 0],
    ["99999999999", null],
    ["9999999999", 31 * 86_400_000],
  ] as const) {
    const error = await refusal(ask(t, (response) => response.writeHead(429, { "Retry-After": header }).end()));
    const { retryAtMs } = acmeProblemOf(error)!;
    if (ms === null || header === "-5") assert.ok(retryAtMs === null || Math.abs(retryAtMs - NOW) <= 31 * 86_400_000, header);
    else assert.equal(retryAtMs, NOW + ms, header);
  }
});

test("a refused nonce is an answer, as the cure is to ask again", async (t) => {
  const headers = { "Content-Type": "application/problem+json", "Replay-Nonce": "n" };
  const reply = await ask(t, (response) => response.writeHead(400, headers).end(problem("badNonce", "")));
  assert.deepEqual([reply.status, reply.headers["replay-nonce"]], [400, "n"]);
});

test("what a CA says is one bounded line of text, whatever it sends", async (t) => {
  const hostile = `first\nsecond\u001b[31m\u2028${"x".repeat(5000)}`;
  const headers = { "Content-Type": "application/problem+json" };
  const { message } = await refusal(ask(t, (response) => response.writeHead(403, headers).end(problem("caa", hostile))));
  assert.match(message, /^a CAA record of the name forbids this authority to issue \(caa, status 403\): first second \[31m x+…$/);
  assert.ok(message.length < 700);
});

test("a problem of an unknown kind, and none at all, are refusals too", async (t) => {
  const headers = { "Content-Type": "application/problem+json" };
  const strange = await refusal(ask(t, (response) => response.writeHead(403, headers).end(problem("__proto__", "no"))));
  assert.match(strange.message, /^the authority refuses \(__proto__, status 403\): no$/);
  const bare = await refusal(ask(t, (response) => response.writeHead(302, { location: "/" }).end("<html>")));
  assert.equal(bare.message, "the authority refuses (status 302)");
});

test("a CA that hangs, sends without end or sends what is no JSON is no CA", async (t) => {
  const late = await refusal(ask(t, () => {}, { timeoutMs: 50 }));
  assert.match(late.message, /^the authority at "127\.0\.0\.1:\d+" did not answer within 0\.05 s$/);
  assert.equal(acmeProblemOf(late), null);
  const endless = await refusal(ask(t, (response) => response.writeHead(200).end("x".repeat(300_000))));
  assert.match(endless.message, /more than 262144 bytes/);
  const broken = await refusal(ask(t, (response) => response.writeHead(200, { "Content-Type": "application/json" }).end('{"a":')));
  assert.match(broken.message, /answered with broken JSON$/);
});

test("a CA that cannot be reached is named with the reason", async () => {
  const transport = await AcmeTransport.open({ caFile: null });
  const error = await refusal(transport.send({ method: "GET", url: "http://127.0.0.1:1/dir", signal: NEVER }));
  assert.match(error.message, /^the authority at "127\.0\.0\.1:1" cannot be reached or understood: ECONNREFUSED/);
  await transport.close();
});

test("giving up ends the request with the signal's reason", async (t) => {
  const giveUp = new AbortController();
  const asking = ask(t, () => giveUp.abort(new Error("enough")), { signal: giveUp.signal });
  await assert.rejects(asking, /enough/);
});

test("a root that cannot be read, or is none, is found when the transport is made", async () => {
  using scratch = new ScratchDirectory();
  const file = join(scratch.path, "root.pem");
  await refusal(AcmeTransport.open({ caFile: file }));
  writeFileSync(file, "no root");
  const { message } = await refusal(AcmeTransport.open({ caFile: file }));
  assert.match(message, /there is no certificate in/);
});
