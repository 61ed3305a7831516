// What a worker asks its main thread when it does not know a challenge: once, bounded, and not for long.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "../../src/core/deadlines.ts";
import { ChallengeAnswers, challengeToken } from "../../src/edge/challenge-answers.ts";
import type { RequestHead } from "../../src/http/message.ts";

const HOUR_MS = 3_600_000;

class Worker {
  readonly asked: string[] = [];
  readonly deadlines = new Deadlines(100);
  nowMs = Date.UTC(2030, 0, 1);
  readonly answers = new ChallengeAnswers({
    deadlines: this.deadlines,
    ask: (kind, name) => void this.asked.push(`${kind} ${name}`),
    expectsValidations: false,
    now: () => this.nowMs,
  });

  /** Whether it is sought, and what is known when it was. */
  seek(token: string, ip = "192.0.2.1"): { readonly isSought: boolean; readonly found: (string | null)[] } {
    const found: (string | null)[] = [];
    const isSought = this.answers.seek("http", token, ip, () => void found.push(this.answers.keyAuthorization(token)));
    return { isSought, found };
  }

  learn(name: string, untilMs = this.nowMs + HOUR_MS): void {
    this.answers.learn({ kind: "http", name, keyAuthorization: `${name}.thumbprint`, untilMs });
  }
}

test("the main thread is asked once for all who want a token, and all hear of it", () => {
  const worker = new Worker();
  const [one, other] = [worker.seek("tok"), worker.seek("tok")];
  assert.deepEqual(worker.asked, ["http tok"]);
  worker.learn("tok");
  for (const { isSought, found } of [one, other]) assert.deepEqual([isSought, found], [true, ["tok.thumbprint"]]);
  // An answer that was under way when the news came.
  worker.answers.onUnknown("http", "tok");
  assert.equal(worker.answers.keyAuthorization("tok"), "tok.thumbprint");
});

test("what is unknown is not asked for again for a while, unless the news comes", () => {
  const worker = new Worker();
  const first = worker.seek("tok");
  worker.answers.onUnknown("http", "tok");
  assert.deepEqual(first.found, [null]);
  assert.equal(worker.seek("tok").isSought, false);
  worker.nowMs += 2000;
  assert.equal(worker.seek("tok").isSought, true);
  worker.answers.onUnknown("http", "tok");
  worker.learn("tok");
  worker.answers.forget("http", "tok");
  assert.equal(worker.seek("tok").isSought, true);
});

test("nobody waits for more than about a second", () => {
  const worker = new Worker();
  const { found } = worker.seek("tok");
  worker.deadlines.pass(900);
  assert.deepEqual(found, []);
  worker.deadlines.pass(400);
  assert.deepEqual(found, [null]);
  worker.deadlines.stop();
});

test("a flood from one address stops asking soon, and others still may", () => {
  const worker = new Worker();
  const flood = Array.from({ length: 1000 }, (_, i) => {
    const { isSought } = worker.seek(`tok-${i}`);
    worker.answers.onUnknown("http", `tok-${i}`);
    return isSought;
  });
  const sought = flood.filter(Boolean).length;
  assert.ok(sought >= 10 && sought <= 30, `${sought}`);
  assert.equal(worker.seek("real", "192.0.2.2").isSought, true);
  worker.nowMs += 5000;
  assert.equal(worker.seek("later").isSought, true);
});

test("a flood from everywhere holds a bounded number, of one token and in all", () => {
  const worker = new Worker();
  const same = Array.from({ length: 1000 }, (_, i) => worker.seek("same", `192.0.${i >> 8}.${i & 255}`).isSought);
  assert.ok(same.filter(Boolean).length <= 16);
  const many = Array.from({ length: 1000 }, (_, i) => worker.seek(`tok-${i}`, `198.51.${i >> 8}.${i & 255}`).isSought);
  assert.ok(many.filter(Boolean).length <= 64);
  assert.ok(worker.asked.length <= 64);
  worker.deadlines.pass(2000);
  worker.deadlines.stop();
});

test("a flood from everywhere that is answered at once asks no more than so often", () => {
  const worker = new Worker();
  const sought = Array.from({ length: 2000 }, (_, i) => {
    const { isSought } = worker.seek(`tok-${i}`, `198.51.${i >> 8}.${i & 255}`);
    worker.answers.onUnknown("http", `tok-${i}`);
    return isSought;
  });
  assert.ok(sought.filter(Boolean).length <= 200);
  worker.nowMs += 1000;
  assert.equal(worker.seek("later", "192.0.2.2").isSought, true);
});

test("what has expired is answered no more", () => {
  const worker = new Worker();
  worker.learn("tok", worker.nowMs + 1000);
  assert.equal(worker.answers.keyAuthorization("tok"), "tok.thumbprint");
  worker.nowMs += 1000;
  assert.equal(worker.answers.keyAuthorization("tok"), null);
});

test("a hello is read while a challenge of TLS-ALPN-01 is known, or always where they are expected", () => {
  const worker = new Worker();
  worker.learn("tok");
  assert.equal(worker.answers.readsHello, false);
  worker.answers.learn({ kind: "alpn", name: "a.example", untilMs: Infinity, certificatePem: "", privateKeyPem: "" });
  assert.equal(worker.answers.readsHello, true);
  worker.answers.forget("alpn", "a.example");
  assert.equal(worker.answers.readsHello, false);
  const options = { deadlines: worker.deadlines, ask: () => {} };
  assert.equal(new ChallengeAnswers({ ...options, expectsValidations: true }).readsHello, true);
});

test("only GET and HEAD of a path of base64url name a token", () => {
  const token = (target: string, method = "GET"): string | null => challengeToken({ method, target } as RequestHead);
  const path = "/.well-known/acme-challenge/";
  assert.equal(token(`${path}Abc-_9`), "Abc-_9");
  assert.equal(token(`${path}Abc-_9`, "HEAD"), "Abc-_9");
  assert.equal(token(path + "a".repeat(128)), "a".repeat(128));
  for (const other of ["", "a/b", "a?b", "a.b", "a%62", "a=", "a".repeat(129), "../x"]) assert.equal(token(path + other), null, other);
  for (const target of ["/", "*", "/.well-known/acme-challenge", "/x/.well-known/acme-challenge/a", "/.well-known/other/a"]) {
    assert.equal(token(target), null, target);
  }
  for (const method of ["POST", "OPTIONS", "get"]) assert.equal(token(`${path}a`, method), null, method);
});
