// Who gets a certificate of an ACME authority and when, with real orders of a fake authority behind it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { renewalId } from "../../src/certs/renewal-info.ts";
import type { StoredCertificate } from "../../src/certs/stored-certificate.ts";
import { rateLimited } from "../support/fake-acme.ts";
import { eventually } from "../support/eventually.ts";
import { Rig } from "./renewer-rig.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

function names(count: number, prefix = "app"): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}.example.com`);
}

describe("a name that an app declares", () => {
  test("gets a certificate without anyone asking, unless it is private", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com", "b.example.com", "c.localhost"] });
    await rig.planned("a.example.com", "b.example.com");
    assert.deepEqual(rig.fake.issued.toSorted(), ["a.example.com", "b.example.com"]);
    assert.deepEqual(rig.node.renewer.missing, []);
  });

  test("is ordered once however many wait for it, and however many nodes there are", async () => {
    await using rig = await Rig.start({ nodes: 3 });
    const declared = names(20);
    rig.declare(...declared);
    const asks = rig.nodes.flatMap(({ renewer }) => declared.flatMap((name) => [renewer.obtain(name), renewer.obtain(name)]));
    await Promise.all(asks);
    await rig.planned(...declared);
    assert.deepEqual(rig.fake.issued.toSorted(), declared.toSorted());
    assert.equal(rig.fake.orders.length, 20);
    assert.equal(rig.fake.count("newAccount"), 1);
    for (const { vault } of rig.nodes) for (const name of declared) assert.notEqual(vault.issued(name), null);
  });

  test("whose order was begun by a node that died is ordered by another one when the lease has run out", async () => {
    await using rig = await Rig.start();
    await rig.store.lease("certs/a.example.com", 300);
    rig.declare("a.example.com");
    const obtained = rig.node.renewer.obtain("a.example.com");
    await eventually(() => {
      rig.clock.advance(1000);
      return rig.fake.orders.length > 0;
    }, "the lease to run out");
    await obtained;
    assert.deepEqual(rig.fake.issued, ["a.example.com"]);
  });

  test("is followed when it comes and when it goes", async () => {
    await using rig = await Rig.start({ declared: ["old.example.com"] });
    await rig.planned("old.example.com");
    rig.declare("new.example.com");
    await rig.planned("new.example.com");
    rig.clock.advance(80 * DAY_MS);
    await rig.until(() => rig.fake.issued.length === 3);
    assert.deepEqual(rig.fake.issued, ["old.example.com", "new.example.com", "new.example.com"]);
  });

  test("that no app declares any more is forgotten a week after its certificate ended", async () => {
    await using rig = await Rig.start({ declared: ["old.example.com"] });
    await rig.planned("old.example.com");
    await rig.store.put("certs/orders/old.example.com", "{}");
    rig.declare();
    rig.clock.advance(96 * DAY_MS);
    await rig.clock.nextTimerMs();
    assert.notEqual(rig.node.vault.acme("old.example.com"), null);
    rig.clock.advance(DAY_MS + HOUR_MS);
    await rig.until(() => rig.node.vault.acme("old.example.com") === null);
    await eventually(async () => (await rig.store.list("certs/renewals/")).length === 0, "its plan to be gone");
    await eventually(async () => (await rig.store.list("certs/orders/")).length === 0, "an order that was left to be gone");
    assert.equal(rig.fake.orders.length, 1);
  });

  test("below a wildcard that is declared too is spared an order of its own", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com", "b.example.com"] });
    await rig.planned("a.example.com", "b.example.com");
    rig.declare("*.example.com", "a.example.com", "c.example.com");
    // No DNS-01 here, so the wildcard's order fails, and only then the name is ordered.
    await rig.planned("c.example.com");
    assert.deepEqual(rig.node.orders.filter(({ result }) => result === "refused").length, 1);
    assert.equal(rig.node.renewer.attempts("*.example.com")?.kind, "refused");
  });
});

describe("a certificate is renewed", () => {
  for (const [lifetimeDays, afterDays] of [
    [90, 60],
    [6, 3],
  ] as const) {
    test(`of ${lifetimeDays} days after ${afterDays}, where the authority suggests nothing`, async () => {
      await using rig = await Rig.start({ declared: ["a.example.com"], lifetimeMs: lifetimeDays * DAY_MS, random: () => 0 });
      await rig.planned("a.example.com");
      const first = rig.node.vault.serving("a.example.com");
      rig.clock.advance(afterDays * DAY_MS - 1);
      await rig.clock.nextTimerMs();
      assert.equal(rig.fake.orders.length, 1);
      rig.clock.advance(1);
      await rig.until(() => rig.node.vault.serving("a.example.com")!.fingerprint !== first!.fingerprint);
      await rig.planned("a.example.com");
      assert.equal(rig.fake.orders.length, 2);
      assert.equal(rig.fake.orders[1]!.replaces, null);
    });
  }

  test("in the window that the authority suggests, in the place of the earlier one", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com"], hasRenewalInfo: true });
    await rig.planned("a.example.com");
    const { renewAtMs, window } = rig.node.renewer.plan("a.example.com")!;
    assert.ok(window !== null && renewAtMs >= window.startMs && renewAtMs < window.endMs);
    const id = renewalId(rig.fake.orders[0]!.certificatePem!);
    rig.clock.advance(renewAtMs - rig.clock.now());
    await rig.until(() => rig.fake.issued.length === 2);
    assert.equal(rig.fake.orders[1]!.replaces, id);
  });

  test("when the authority moves the window into the past, and says why", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com"], hasRenewalInfo: true });
    await rig.planned("a.example.com");
    const nowMs = rig.clock.now();
    const explanationUrl = "https://ca.example.com/incident";
    rig.fake.windows.set(renewalId(rig.fake.orders[0]!.certificatePem!)!, {
      startMs: nowMs - DAY_MS,
      endMs: nowMs - HOUR_MS,
      explanationUrl,
    });
    rig.clock.advance(6 * HOUR_MS);
    await rig.until(() => rig.fake.issued.length === 2);
    assert.equal(rig.messages("planned the renewal").find((line) => line.explanationUrl !== undefined)?.explanationUrl, explanationUrl);
  });

  test("by its lifetime when the authority's answers about it are malformed", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com"], hasRenewalInfo: true, random: () => 0 });
    rig.fake.script = ({ step }) => (step === "renewalInfo" ? { status: 200, body: { suggestedWindow: "tomorrow" } } : null);
    await rig.planned("a.example.com");
    const { renewAtMs, window, askAtMs } = rig.node.renewer.plan("a.example.com")!;
    assert.equal(window, null);
    assert.equal(renewAtMs, rig.node.vault.acme("a.example.com")!.notBefore.getTime() + 60 * DAY_MS);
    assert.ok(askAtMs! < rig.clock.now() + HOUR_MS, "it is asked again");
  });

  test("within the hour when the operator has chosen another authority", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com"], hasStaging: true });
    await rig.planned("a.example.com");
    const first = rig.node.vault.acme("a.example.com")!;
    await rig.node.stop();
    const node = await rig.addNode({ directory: rig.staging!.directory });
    rig.clock.advance(HOUR_MS);
    await rig.until(() => node.vault.acme("a.example.com")!.fingerprint !== first.fingerprint);
    assert.deepEqual(rig.staging!.issued, ["a.example.com"]);
    assert.equal(rig.staging!.orders[0]!.replaces, null);
    await node.stop();
  });

  test("when an operator wants it, whatever is planned", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com"] });
    await rig.planned("a.example.com");
    await rig.node.renewer.renew("a.example.com");
    assert.deepEqual(rig.fake.issued, ["a.example.com", "a.example.com"]);
    await assert.rejects(rig.node.renewer.renew("stranger.example.com"), { code: "certificate_unavailable" });
    await assert.rejects(rig.node.renewer.renew("c.localhost"), { code: "certificate_unavailable" });
  });

  test("and serves until then, while orders fail", async () => {
    await using rig = await Rig.start({ declared: ["a.example.com"], random: () => 0 });
    await rig.planned("a.example.com");
    const { fingerprint, notAfter } = rig.node.vault.serving("a.example.com")!;
    rig.fake.validate = () => "nothing there";
    rig.clock.advance(60 * DAY_MS);
    await rig.until(() => rig.node.renewer.attempts("a.example.com")?.failures === 1);
    rig.clock.advance(notAfter.getTime() - MINUTE_MS - 1 - rig.clock.now());
    assert.equal(rig.node.vault.serving("a.example.com")?.fingerprint, fingerprint);
    await rig.until(() => rig.node.renewer.attempts("a.example.com")!.failures > 1);
    rig.fake.validate = () => null;
    rig.clock.advance(6 * HOUR_MS);
    await rig.until(() => rig.fake.issued.length === 2);
  });
});

describe("an order that fails", () => {
  test("is told to who waits, and not tried again before its time, by no node", async () => {
    await using rig = await Rig.start({ nodes: 2 });
    rig.fake.validate = () => "no such host";
    rig.declare("bad.example.com");
    await assert.rejects(rig.node.renewer.obtain("bad.example.com"), { code: "certificate_unavailable", message: /no such host/ });
    await rig.until(() => rig.nodes.every(({ renewer }) => renewer.attempts("bad.example.com") !== null));
    for (const { renewer } of rig.nodes) {
      await assert.rejects(renewer.obtain("bad.example.com"), { message: /no such host.*tried again at/ });
    }
    assert.equal(rig.fake.orders.length, 1);
    const { retryAtMs } = rig.node.renewer.attempts("bad.example.com")!;
    rig.fake.validate = () => null;
    rig.clock.advance(retryAtMs - rig.clock.now());
    await rig.planned("bad.example.com");
    assert.equal(rig.node.renewer.attempts("bad.example.com"), null);
    assert.deepEqual(await rig.store.list("certs/attempts/"), []);
  });

  test("never holds up those of other names", async () => {
    await using rig = await Rig.start();
    const bad = names(12, "bad");
    const good = names(12, "good");
    const released = Promise.withResolvers<string>();
    rig.fake.validate = ({ name }) => (name.startsWith("bad") ? "refused" : null);
    rig.declare(...bad);
    await rig.until(() => bad.every((name) => rig.node.renewer.attempts(name) !== null));
    // From now on each of them takes for ever.
    rig.fake.validate = ({ name }) => (name.startsWith("bad") ? released.promise : null);
    rig.clock.advance(HOUR_MS);
    rig.declare(...bad, ...good);
    await rig.planned(...good);
    released.resolve("refused");
  });

  test("because of a limit waits for as long as the authority says, even for an operator", async () => {
    await using rig = await Rig.start();
    rig.fake.script = ({ step }) => (step === "newOrder" ? rateLimited(7200) : null);
    rig.declare("a.example.com");
    await rig.until(() => rig.node.renewer.attempts("a.example.com") !== null);
    const attempts = rig.node.renewer.attempts("a.example.com")!;
    assert.equal(attempts.kind, "limited");
    assert.equal(attempts.limitedUntilMs, rig.clock.now() + 7200_000);
    await assert.rejects(rig.node.renewer.renew("a.example.com"), { message: /tried again at/ });
    rig.clock.advance(7200_000 - 1);
    await rig.clock.nextTimerMs();
    assert.equal(rig.fake.count("newOrder"), 1);
    rig.fake.script = () => null;
    rig.clock.advance(MINUTE_MS);
    await rig.planned("a.example.com");
  });

  test("again and again is tried with the staging directory first", async () => {
    await using rig = await Rig.start({ hasStaging: true });
    const staging = rig.staging!;
    rig.fake.validate = staging.validate = () => "nothing there";
    rig.declare("a.example.com");
    for (let failures = 1; failures <= 5; failures++) {
      await rig.until(() => rig.node.renewer.attempts("a.example.com")?.failures === failures);
      assert.equal(rig.fake.orders.length, Math.min(failures, 3));
      assert.equal(staging.orders.length, Math.max(0, failures - 3));
      if (failures < 5) rig.clock.advance(7 * HOUR_MS);
    }
    staging.validate = rig.fake.validate = () => null;
    rig.clock.advance(7 * HOUR_MS);
    await rig.planned("a.example.com");
    assert.equal(staging.issued.length, 1);
    assert.equal(rig.fake.issued.length, 1);
    assert.equal(rig.node.vault.acme("a.example.com")?.directory, rig.fake.directory);
  });
});

describe("an authority", () => {
  test("that is away is tried by one name a minute, and makes up for it when it is back", async () => {
    await using rig = await Rig.start({ random: () => 0 });
    rig.fake.script = () => ({ status: 503 });
    const declared = names(30);
    rig.declare(...declared);
    const failed = (): number => declared.filter((name) => rig.node.renewer.attempts(name) !== null).length;
    await rig.until(() => failed() >= 4);
    for (let minute = 0; minute < 3; minute++) {
      await rig.clock.nextTimerMs();
      const before = rig.messages("no certificate").length;
      rig.clock.advance(MINUTE_MS);
      await rig.until(() => rig.messages("no certificate").length > before);
    }
    assert.ok(failed() <= 10, `${failed()} names have failed`);
    rig.fake.script = () => null;
    await rig.clock.nextTimerMs();
    rig.clock.advance(2 * HOUR_MS);
    // One that was under way may have failed after that, and waits from then on.
    await rig.until(() => rig.fake.orders.length >= 29);
    await rig.clock.nextTimerMs();
    rig.clock.advance(2 * HOUR_MS);
    await rig.planned(...declared);
    assert.equal(rig.fake.orders.length, 30);
  });

  test("is asked for no more new names of a domain in a week than it allows", async () => {
    await using rig = await Rig.start({ newNamesPerWeek: 5 });
    const declared = names(8);
    rig.declare(...declared, "other.example.org");
    const certificates = (): readonly StoredCertificate[] => rig.node.vault.list();
    await rig.until(() => certificates().length === 6 && certificates().every(({ hostname }) => rig.node.renewer.plan(hostname) !== null));
    const late = declared.find((name) => rig.node.vault.acme(name) === null)!;
    await assert.rejects(rig.node.renewer.obtain(late), { code: "certificate_unavailable" });
    assert.equal(rig.fake.issued.length, 6);
    assert.equal(rig.node.renewer.missing.length, 3);
    for (const { atMs } of rig.node.renewer.missing) assert.equal(atMs, rig.clock.now() + 7 * DAY_MS);
    rig.clock.advance(7 * DAY_MS);
    await rig.planned(...declared);
  });

  test("that refuses nonces, takes its time, and processes for long, is borne with", async () => {
    await using rig = await Rig.start();
    rig.fake.badNonces = 3;
    rig.fake.processingLooks = 5;
    rig.declare("a.example.com");
    await rig.planned("a.example.com");
  });

  test("that answers nonsense costs its certificate, and nothing else", async () => {
    await using rig = await Rig.start({ declared: ["good.example.com"] });
    await rig.planned("good.example.com");
    rig.fake.script = ({ step }) => (step === "newOrder" ? { status: 201, body: "<html>gone fishing</html>" } : null);
    rig.declare("good.example.com", "a.example.com");
    await rig.until(() => rig.node.renewer.attempts("a.example.com") !== null);
    assert.equal(rig.node.renewer.attempts("a.example.com")!.kind, "failed");
    assert.notEqual(rig.node.vault.issued("good.example.com"), null);
  });
});
