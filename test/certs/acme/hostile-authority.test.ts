// An authority whose answers are wrong, at each step of an order: a clear error within bounds, nothing that is served, and once it is well again
// the order goes on.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChallengePublisher } from "../../../src/certs/acme/challenge.ts";
import { acmeProblemOf } from "../../../src/certs/acme/problem.ts";
import { ProxyError } from "../../../src/core/errors.ts";
import { MemoryStore } from "../../../src/state/memory-store.ts";
import { FakeAcme, type FakeReply, type FakeStep, rateLimited } from "../../support/fake-acme.ts";
import { FakeCa } from "../../support/fake-ca.ts";
import { deaf, leaseOf, openIssuer, publishers } from "./fixtures.ts";

const STEPS: readonly FakeStep[] = [
  "directory",
  "newNonce",
  "newAccount",
  "newOrder",
  "order",
  "authorization",
  "challenge",
  "finalize",
  "certificate",
];
const NAME = "shop.example.com";
/** Of all the authorities here. */
const ca = await FakeCa.create(Date.now());

const WRONG: Readonly<Record<string, FakeReply>> = {
  "a page": { status: 200, body: "<html>welcome</html>" },
  "an empty object": { status: 200, body: {} },
  null: { status: 200, headers: { "content-type": "application/json" }, body: "null" },
  "a list of what nobody asked for": { status: 200, body: [{ status: "valid", url: 7 }] },
  "half of an object": { status: 200, headers: { "content-type": "application/json" }, body: '{"status":' },
  "keys that are none": {
    status: 200,
    headers: { "content-type": "application/json" },
    body: '{"__proto__":{"status":"valid"},"constructor":1}',
  },
  "a redirect": { status: 302, headers: { location: "http://127.0.0.1:1/" } },
  "a failure": { status: 500, body: "sorry" },
  "a refusal without a reason": { status: 403 },
};

describe("an authority that answers wrongly", () => {
  for (const [what, reply] of Object.entries(WRONG)) {
    test(`with ${what} gives an error at every step, and a certificate once it is well`, async () => {
      for (const step of STEPS) await assertHarmless(step, reply);
    });
  }

  test("with a limit is heard: the error says until when, and nothing is asked a second time", async () => {
    for (const step of ["newAccount", "newOrder", "finalize"] as const) {
      await using fake = await FakeAcme.start({ ca });
      fake.script = (request) => (request.step === step ? rateLimited(3600) : null);
      const error = await failure(fake, new MemoryStore());
      const { kind, retryAtMs } = acmeProblemOf(error)!;
      assert.equal(kind, "limited");
      assert.ok(Math.abs(retryAtMs! - Date.now() - 3_600_000) < 60_000);
      assert.equal(fake.count(step), 1);
    }
  });

  test("with an order for other names, or a proof of another one, is refused", async () => {
    await using fake = await FakeAcme.start({ ca });
    const resource = (path: string): string => `${fake.url}/${path}`;
    const order = {
      status: "pending",
      identifiers: [{ type: "dns", value: "bank.example.com" }],
      authorizations: [resource("a")],
      finalize: resource("f"),
    };
    fake.script = ({ step }) => (step === "newOrder" ? { status: 201, headers: { location: resource("o") }, body: order } : null);
    assert.match((await failure(fake, new MemoryStore())).message, /the authority's order is for other names/);
    const authorization = { status: "pending", identifier: { type: "dns", value: "bank.example.com" }, challenges: [] };
    fake.script = ({ step }) => (step === "authorization" ? { status: 200, body: authorization } : null);
    assert.match((await failure(fake, new MemoryStore())).message, /the authority wants another name proved/);
  });

  test("with a token that is no token is not published", async () => {
    await using fake = await FakeAcme.start({ ca });
    for (const token of ["../../etc/passwd", "a b", "", "x".repeat(129), "a\r\nb"]) {
      const challenges = [{ type: "http-01", url: `${fake.url}/c`, status: "pending", token }];
      const authorization = { status: "pending", identifier: { type: "dns", value: NAME }, challenges };
      fake.script = ({ step }) => (step === "authorization" ? { status: 200, body: authorization } : null);
      assert.match((await failure(fake, new MemoryStore())).message, /not what RFC 8555 asks for: challenges\.0\.token/, token);
    }
  });

  test("with a nonce refused is asked again, but not for ever", async () => {
    await using fake = await FakeAcme.start({ ca });
    fake.badNonces = 2;
    await issue(fake, new MemoryStore());
    fake.badNonces = 1000;
    await failure(fake, new MemoryStore());
    assert.ok(1000 - fake.badNonces < 20);
  });
});

test("an authority that has decided meanwhile, because the node before had asked it to, is not asked again", async () => {
  for (const reason of [null, "nobody there"]) {
    await using fake = await FakeAcme.start({ ca, challenges: ["http-01"] });
    fake.validate = () => reason;
    let decided = 0;
    fake.script = async ({ step, name }) => {
      if (step === "challenge" && decided++ === 0) await fake.decide(name!);
      return null;
    };
    if (reason === null) await issue(fake, new MemoryStore());
    else assert.match((await failure(fake, new MemoryStore())).message, /was not validated: http-01: .*nobody there/);
    assert.equal(fake.count("challenge"), 1);
  }
});

test("an authority that looks once more after it has decided finds the answer still there, until the order is over", async () => {
  await using fake = await FakeAcme.start({ ca });
  const published = new Set<string>();
  const kept: ChallengePublisher = {
    publish: async ({ token }) => void published.add(token),
    withdraw: async ({ token }) => void published.delete(token),
  };
  const before: number[] = [];
  fake.script = ({ step }) => {
    if (step === "finalize" || step === "certificate") before.push(published.size);
    return null;
  };
  await issue(fake, new MemoryStore(), kept);
  assert.deepEqual(before, [1, 1]);
  assert.equal(published.size, 0);
});

async function assertHarmless(step: FakeStep, reply: FakeReply): Promise<void> {
  await using fake = await FakeAcme.start({ ca });
  const store = new MemoryStore();
  fake.script = (request) => (request.step === step ? reply : null);
  const outcome = await issue(fake, store).catch((error: unknown) => error);
  // An order that was never looked at can succeed all the same.
  if (outcome instanceof Error) {
    assert.ok(outcome instanceof ProxyError, `${step}: ${outcome.stack}`);
    assert.equal(outcome.code, "certificate_unavailable", step);
    assert.ok(outcome.message.length < 1000);
    assert.doesNotMatch(outcome.message, /\n/);
  }
  assert.ok(fake.requests.length < 60, `${step}: ${fake.requests.length} requests`);
  fake.script = () => null;
  await issue(fake, store);
}

async function failure(fake: FakeAcme, store: MemoryStore): Promise<ProxyError> {
  const error: unknown = await issue(fake, store).then(
    () => assert.fail("a certificate was issued"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ProxyError && error.code === "certificate_unavailable", String(error));
  return error;
}

async function issue(fake: FakeAcme, store: MemoryStore, publisher = deaf): Promise<void> {
  const issuer = await openIssuer({ directory: fake.directory, store, publishers: publishers(["http-01", publisher]), pace: 0.002 });
  const fence = await leaseOf(store, NAME);
  try {
    const { hostname } = await issuer.issue(NAME, { signal: AbortSignal.timeout(20_000), fence });
    assert.equal(hostname, NAME);
    await issuer.settle(NAME, fence);
  } finally {
    await fence.release();
    await issuer.close();
  }
}
