// Challenges on the main thread, between nodes that share a store: published, followed, looked up, withdrawn, expired.

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { describe, test, type TestContext } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import type { Challenge } from "../../src/certs/acme/challenge.ts";
import { Challenges, type ChallengesOptions } from "../../src/certs/challenges.ts";
import type { WorkerChallenge } from "../../src/certs/stored-challenge.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import type { Lease, Store } from "../../src/state/store.ts";
import { eventually } from "../support/eventually.ts";
import { alpnChallenge, httpChallenge } from "../support/orderer.ts";
import { recordingLog, silent } from "./fixtures.ts";

const HOUR_MS = 3_600_000;

/** A node as its workers see it. */
class Node {
  readonly challenges: Challenges;
  /** What the workers know, by kind and name. */
  readonly known = new Map<string, WorkerChallenge>();
  /** How often the workers were waited for. */
  barriers = 0;

  constructor(store: Store, options: Partial<ChallengesOptions> = {}) {
    this.challenges = new Challenges({
      store,
      onKnown: (challenge) => void this.known.set(`${challenge.kind} ${challenge.name}`, challenge),
      onForgotten: (kind, name) => void this.known.delete(`${kind} ${name}`),
      taken: async () => void this.barriers++,
      log: silent,
      ...options,
    });
  }

  /** Follows the store until the end of the test. */
  follow(t: TestContext): this {
    const stop = new AbortController();
    const running = this.challenges.run(stop.signal);
    t.after(async () => {
      stop.abort();
      await running;
    });
    return this;
  }
}

async function leaseOf(store: Store, name: string): Promise<Lease> {
  const lease = await store.lease(`certs/${name}`, HOUR_MS);
  assert.ok(lease !== null);
  return lease;
}

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ProxyError && error.code === code;
}

describe("a challenge that is published", () => {
  test("is known to the workers of this node at once, and of another as soon as it has heard", async (t) => {
    const store = new MemoryStore();
    const [one, other] = [new Node(store), new Node(store).follow(t)];
    const fence = await leaseOf(store, "hello.localhost");
    const challenge = httpChallenge("tok-1");
    await one.challenges.publish(challenge, fence);
    assert.equal(one.barriers, 1);
    const expected = { kind: "http", name: "tok-1", untilMs: challenge.expiresAtMs, keyAuthorization: "tok-1.thumbprint" };
    assert.deepEqual(one.known.get("http tok-1"), expected);
    assert.deepEqual(one.challenges.known, [expected]);
    await eventually(() => other.known.size === 1, "the news");
    assert.deepEqual(other.known.get("http tok-1"), expected);

    await one.challenges.withdraw(challenge, fence);
    assert.equal(one.known.size, 0);
    await eventually(() => other.known.size === 0, "the news");
    assert.deepEqual(other.challenges.known, []);
    await one.challenges.withdraw(challenge, fence);
  });

  test("is known to a node that starts later", async (t) => {
    const store = new MemoryStore();
    const fence = await leaseOf(store, "hello.localhost");
    await new Node(store).challenges.publish(httpChallenge("tok-1"), fence);
    const late = new Node(store).follow(t);
    await eventually(() => late.known.size === 1, "what is in the store");
  });

  test("may be published again, by a successor too", async (t) => {
    const store = new MemoryStore();
    const node = new Node(store).follow(t);
    const first = await leaseOf(store, "hello.localhost");
    await node.challenges.publish(httpChallenge("tok-1"), first);
    await first.release();
    const second = await leaseOf(store, "hello.localhost");
    const later = Date.now() + 2 * HOUR_MS;
    await node.challenges.publish(httpChallenge("tok-1", later), second);
    assert.equal(node.known.get("http tok-1")?.untilMs, later);
  });

  test("by one whose lease is lost is not published at all, nor does that one take away what its successor needs", async () => {
    const store = new MemoryStore();
    const node = new Node(store);
    const lost = await leaseOf(store, "hello.localhost");
    await lost.release();
    await assert.rejects(node.challenges.publish(httpChallenge("tok-1"), lost), isCode("lease_lost"));
    assert.equal(node.known.size, 0);
    await node.challenges.publish(httpChallenge("tok-2"), await leaseOf(store, "hello.localhost"));
    await assert.rejects(node.challenges.withdraw(httpChallenge("tok-2"), lost), isCode("lease_lost"));
    assert.equal(node.known.size, 1);
  });

  test("for TLS-ALPN-01 is answered with a certificate as RFC 8737 has it, and no key is stored", async (t) => {
    const store = new MemoryStore();
    const [one, other] = [new Node(store), new Node(store).follow(t)];
    const challenge = alpnChallenge("a.example");
    await one.challenges.publish(challenge, await leaseOf(store, "a.example"));
    await eventually(() => other.known.size === 1, "the news");
    for (const { known } of [one, other]) assertAnswers(known.get("alpn a.example"), challenge);
    const [entry] = await store.list("certs/challenges/");
    assert.equal(entry?.key, "certs/challenges/alpn/a.example");
    assert.deepEqual(Object.keys(JSON.parse(entry.value) as object), ["keyAuthorization", "until"]);
  });
});

function assertAnswers(known: WorkerChallenge | undefined, challenge: Challenge): void {
  assert.ok(known?.kind === "alpn");
  const certificate = new X509Certificate(known.certificatePem);
  assert.equal(certificate.subjectAltName, `DNS:${challenge.name}`);
  assert.ok(certificate.verify(certificate.publicKey), "it signs itself");
  const digest = createHash("sha256").update(challenge.keyAuthorization).digest("hex");
  // Object identifier 1.3.6.1.5.5.7.1.31, critical, an OCTET STRING within that of every extension.
  assert.ok(certificate.raw.toString("hex").includes(`06082b0601050507011f0101ff04220420${digest}`));
}

describe("a worker's question", () => {
  test("is answered from the store before the news has come, and the other workers know it then as well", async () => {
    const store = new MemoryStore();
    const deaf = new Node(store);
    await new Node(store).challenges.publish(httpChallenge("tok-1"), await leaseOf(store, "hello.localhost"));
    const answer = await deaf.challenges.answer("http", "tok-1");
    assert.equal(answer?.kind === "http" && answer.keyAuthorization, "tok-1.thumbprint");
    assert.equal(deaf.known.size, 1);
    assert.equal(await deaf.challenges.answer("http", "tok-2"), null);
    assert.equal(await deaf.challenges.answer("alpn", "a.example"), null);
  });

  test("for a certificate waits until that is made, once for all who ask", async () => {
    const store = new MemoryStore();
    const deaf = new Node(store);
    await new Node(store).challenges.publish(alpnChallenge("a.example"), await leaseOf(store, "a.example"));
    const answers = await Promise.all(Array.from({ length: 5 }, () => deaf.challenges.answer("alpn", "a.example")));
    for (const answer of answers) {
      assertAnswers(answer ?? undefined, alpnChallenge("a.example"));
      assert.equal(answer, answers[0]);
    }
  });

  test("costs one look into the store however many ask, and no more than a bounded number at once", async () => {
    const store = new MemoryStore();
    const gate = Promise.withResolvers<void>();
    let looks = 0;
    const slow = new Proxy(store, {
      get: (target, key) => {
        if (key !== "get") return Reflect.get(target, key, target) as unknown;
        return async (name: string) => {
          looks++;
          await gate.promise;
          return await target.get(name);
        };
      },
    });
    const node = new Node(slow);
    const same = Array.from({ length: 20 }, () => node.challenges.answer("http", "same"));
    assert.equal(looks, 1);
    const flood = Array.from({ length: 2000 }, (_, i) => node.challenges.answer("http", `tok-${i}`));
    assert.ok(looks <= 300, `${looks} looks`);
    gate.resolve();
    assert.ok((await Promise.all([...same, ...flood])).every((answer) => answer === null));
  });

  test("is given up after a second when the store does not answer", async () => {
    const store = new MemoryStore();
    const silentStore = new Proxy(store, {
      get: (target, key) => (key === "get" ? () => new Promise(() => {}) : (Reflect.get(target, key, target) as unknown)),
    });
    const startedMs = performance.now();
    assert.equal(await new Node(silentStore).challenges.answer("http", "tok-1"), null);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs > 900 && tookMs < 5000, `${tookMs} ms`);
  });

  test("is answered with nothing when the store fails", async () => {
    const store = new MemoryStore();
    await store.close();
    assert.equal(await new Node(store).challenges.answer("http", "tok-1"), null);
  });
});

describe("a challenge that nobody withdrew", () => {
  test("ends by its time, and is then taken out of the store and from the workers", async (t) => {
    const store = new MemoryStore();
    let nowMs = Date.now();
    const node = new Node(store, { now: () => nowMs, pruneEveryMs: 5 }).follow(t);
    await node.challenges.publish(httpChallenge("tok-1", nowMs + 1000), await leaseOf(store, "hello.localhost"));
    await node.challenges.publish(httpChallenge("tok-2", nowMs + 9000), await leaseOf(store, "other.localhost"));
    nowMs += 1000;
    assert.equal(await node.challenges.find("http", "tok-1"), null);
    await eventually(async () => (await store.get("certs/challenges/http/tok-1")) === null, "the store to be rid of it");
    assert.deepEqual([...node.known.keys()], ["http tok-2"]);
  });

  test("is swept by a node that finds it when it starts", async (t) => {
    const store = new MemoryStore();
    const nowMs = Date.now();
    const dead = new Node(store, { now: () => nowMs - HOUR_MS });
    await dead.challenges.publish(httpChallenge("tok-1", nowMs - 1), await leaseOf(store, "hello.localhost"));
    const node = new Node(store).follow(t);
    await eventually(async () => (await store.list("certs/challenges/")).length === 0, "the store to be rid of it");
    assert.equal(node.known.size, 0);
  });

  test("does not stand in the way of the next one of its name, whose news has not come", async () => {
    const store = new MemoryStore();
    let nowMs = Date.now();
    const deaf = new Node(store, { now: () => nowMs });
    const one = new Node(store, { now: () => nowMs });
    const fence = await leaseOf(store, "a.example");
    await one.challenges.publish(alpnChallenge("a.example", nowMs + 1000), fence);
    assert.notEqual(await deaf.challenges.answer("alpn", "a.example"), null);
    nowMs += 1000;
    assert.equal(await deaf.challenges.answer("alpn", "a.example"), null);
    const next = { ...alpnChallenge("a.example", nowMs + 1000), keyAuthorization: "another" };
    await one.challenges.publish(next, fence);
    assertAnswers((await deaf.challenges.answer("alpn", "a.example")) ?? undefined, next);
  });

  test("does not go when another took its place meanwhile", async (t) => {
    const store = new MemoryStore();
    let nowMs = Date.now();
    const stale = new Node(store, { now: () => nowMs, pruneEveryMs: 5 });
    await new Node(store).challenges.publish(alpnChallenge("a.example", nowMs + 1000), await leaseOf(store, "a.example"));
    assert.notEqual(await stale.challenges.answer("alpn", "a.example"), null);
    const later = { ...alpnChallenge("a.example", nowMs + 9000), keyAuthorization: "another" };
    await store.put("certs/challenges/alpn/a.example", JSON.stringify({ keyAuthorization: "another", until: new Date(nowMs + 9000) }));
    nowMs += 1000;
    stale.follow(t);
    await eventually(() => stale.known.get("alpn a.example")?.untilMs === later.expiresAtMs, "the news");
    assertAnswers(stale.known.get("alpn a.example"), later);
  });
});

describe("a node that was cut off from the store", () => {
  test("forgets what was withdrawn meanwhile", async (t) => {
    const store = new MemoryStore();
    const fence = await leaseOf(store, "hello.localhost");
    const [one, other] = [new Node(store), new Node(store)];
    await one.challenges.publish(httpChallenge("tok-1"), fence);
    assert.notEqual(await other.challenges.answer("http", "tok-1"), null);
    await one.challenges.withdraw(httpChallenge("tok-1"), fence);
    await one.challenges.publish(httpChallenge("tok-2"), fence);
    other.follow(t);
    await eventually(() => [...other.known.keys()].join() === "http tok-2", "the state of the store");
  });

  test("passes over what it cannot read, and says so", async (t) => {
    const store = new MemoryStore();
    for (const [key, value] of [
      ["http/tok-1", "no JSON"],
      ["http/tok-2", "null"],
      ["http/tok-3", '{"keyAuthorization": 1, "until": "2100-01-01T00:00:00Z"}'],
      ["http/tok-4", '{"keyAuthorization": "x", "until": "soon"}'],
      ["dns/label", '{"values": [{}]}'],
      ["other/x", '{"keyAuthorization": "x", "until": "2100-01-01T00:00:00Z"}'],
    ] as const)
      await store.put(`certs/challenges/${key}`, value);
    const { log, messages } = recordingLog();
    const node = new Node(store, { log }).follow(t);
    await node.challenges.publish(httpChallenge("good"), await leaseOf(store, "hello.localhost"));
    await eventually(() => messages.length >= 6, "the log");
    assert.deepEqual([...node.known.keys()], ["http good"]);
  });
});

describe("TXT values of our own zone", () => {
  test("stand beside each other when two orders share a label, and go one by one", async (t) => {
    const store = new MemoryStore();
    const [one, other] = [new Node(store), new Node(store).follow(t)];
    const [plain, wildcard] = [await leaseOf(store, "a.example"), await leaseOf(store, "_wildcard.a.example")];
    const untilMs = Date.now() + HOUR_MS;
    await Promise.all([
      one.challenges.addText("label", "value-1", untilMs, plain),
      other.challenges.addText("label", "value-2", untilMs, wildcard),
      one.challenges.addText("label", "value-1", untilMs, plain),
    ]);
    for (const { challenges } of [one, other]) {
      await eventually(async () => (await challenges.texts("label")).toSorted().join() === "value-1,value-2", "both values");
    }
    await one.challenges.removeText("label", "value-1", plain);
    await eventually(async () => (await other.challenges.texts("label")).join() === "value-2", "the news");
    await one.challenges.removeText("label", "value-1", plain);
    await one.challenges.removeText("label", "value-2", wildcard);
    assert.deepEqual(await one.challenges.texts("label"), []);
    assert.equal(await store.get("certs/challenges/dns/label"), null);
  });

  test("end by their time, each for itself, and need the lease", async () => {
    const store = new MemoryStore();
    let nowMs = Date.now();
    const { challenges } = new Node(store, { now: () => nowMs });
    const fence = await leaseOf(store, "a.example");
    await challenges.addText("label", "short", nowMs + 1000, fence);
    await challenges.addText("label", "long", nowMs + 9000, fence);
    nowMs += 1000;
    assert.deepEqual(await challenges.texts("label"), ["long"]);
    await fence.release();
    await assert.rejects(challenges.addText("label", "late", nowMs + 9000, fence), isCode("lease_lost"));
    assert.deepEqual(await challenges.texts("label"), ["long"]);
  });

  test("are those of this moment at any node, also before it has heard of them", async () => {
    const store = new MemoryStore();
    const [one, other] = [new Node(store), new Node(store)];
    const untilMs = Date.now() + HOUR_MS;
    const [plain, wildcard] = [await leaseOf(store, "a.example"), await leaseOf(store, "_wildcard.a.example")];
    await one.challenges.addText("label", "value-1", untilMs, plain);
    assert.deepEqual(await other.challenges.texts("label"), ["value-1"]);
    await one.challenges.addText("label", "value-2", untilMs, wildcard);
    assert.deepEqual(await other.challenges.texts("label"), ["value-1", "value-2"]);
    await one.challenges.removeText("label", "value-1", plain);
    await one.challenges.removeText("label", "value-2", wildcard);
    assert.deepEqual(await other.challenges.texts("label"), []);
  });

  test("are those that memory has where the store is out of reach, and otherwise nobody's guess", async () => {
    const store = new MemoryStore();
    const { challenges } = new Node(store);
    await challenges.addText("label", "value", Date.now() + HOUR_MS, await leaseOf(store, "a.example"));
    await store.close();
    assert.deepEqual(await challenges.texts("label"), ["value"]);
    await assert.rejects(challenges.texts("other"), isCode("store_unavailable"));
  });
});
