// The life of a certificate on the main thread, under a clock that moves by hand and with a real CA behind it.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Certificates, type CertificatesOptions } from "../../src/certs/certificates.ts";
import type { IssuedCertificate, Issuer } from "../../src/certs/issuer.ts";
import { LocalCa } from "../../src/certs/local-ca.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { ManualClock, recordingLog, ScratchDirectory, silent } from "./fixtures.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Of the local CA's leaves, with the hour that they are backdated. */
const LIFETIME_MS = 7 * DAY_MS + HOUR_MS;

describe("certificates", () => {
  const scratch = new ScratchDirectory();
  const clock = new ManualClock();
  let ca: LocalCa;
  before(async () => {
    ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent, now: clock.now });
  });
  after(() => scratch[Symbol.dispose]());

  /** The CA behind a door that can be shut, with a list of who came. */
  class Counter implements Issuer {
    readonly asked: string[] = [];
    isShut = false;
    /** What issuing waits for. */
    gate: Promise<unknown> = Promise.resolve();

    async issue(hostname: string, signal: AbortSignal): Promise<IssuedCertificate> {
      this.asked.push(hostname);
      const given = once(signal, "abort").then(() => Promise.reject(new ProxyError("certificate_unavailable", "given up")));
      await Promise.race([this.gate, given]);
      if (this.isShut) throw new ProxyError("certificate_unavailable", "the issuer is shut");
      return ca.issue(hostname);
    }
  }

  interface Setup extends AsyncDisposable {
    readonly certificates: Certificates;
    readonly issuer: Counter;
    readonly declared: Set<string>;
    /** The next renewal that the workers are told of. */
    renewal(): Promise<IssuedCertificate>;
    readonly renewals: number;
    stop(): Promise<void>;
  }

  /** Starts the component; it is stopped at the end of the test. */
  function start(options: Partial<CertificatesOptions> = {}): Setup {
    const issuer = new Counter();
    const declared = new Set(["hello.localhost", "other.localhost"]);
    const events = new EventEmitter();
    let renewals = 0;
    const certificates = new Certificates({
      issuer,
      authority: null,
      stored: () => null,
      isDeclared: (hostname) => declared.has(hostname),
      onRenewed: (hostname, certificate) => {
        renewals++;
        events.emit("renewed", certificate, hostname);
      },
      log: silent,
      now: clock.now,
      random: () => 0,
      startTimer: clock.startTimer,
      ...options,
    });
    const stopping = new AbortController();
    const running = certificates.run(stopping.signal);
    const stop = (): Promise<void> => {
      stopping.abort();
      return running;
    };
    return {
      certificates,
      issuer,
      declared,
      renewal: async () => (await once(events, "renewed"))[0] as IssuedCertificate,
      get renewals() {
        return renewals;
      },
      stop,
      [Symbol.asyncDispose]: stop,
    };
  }

  test("are issued on first use and then given from memory", async () => {
    await using setup = start();
    const first = await setup.certificates.get("hello.localhost");
    assert.equal(await setup.certificates.get("HELLO.localhost."), first);
    assert.deepEqual(setup.issuer.asked, ["hello.localhost"]);
    assert.equal(setup.renewals, 0);
  });

  test("are ordered once however many ask at the same time", async () => {
    await using setup = start();
    const all = await Promise.all(Array.from({ length: 500 }, () => setup.certificates.get("hello.localhost")));
    assert.equal(new Set(all).size, 1);
    assert.deepEqual(setup.issuer.asked, ["hello.localhost"]);
  });

  test("are never ordered for a name that no app declares", async () => {
    await using setup = start();
    for (const name of ["stranger.localhost", "", "a\0b", "hello.localhost.evil.example"]) {
      await assert.rejects(setup.certificates.get(name), { code: "tls_unknown_name" });
    }
    assert.deepEqual(setup.issuer.asked, []);
  });

  test("are those of a wildcard for all names below it that nobody declares, so that clients cannot have any number made", async () => {
    await using setup = start();
    setup.declared.add("*.localhost");
    const names = ["a.localhost", "b.localhost", "hello.localhost"];
    const issued = await Promise.all(names.map((name) => setup.certificates.get(name)));
    assert.deepEqual(setup.issuer.asked, ["*.localhost", "hello.localhost"]);
    assert.equal(issued[0], issued[1]);
    await assert.rejects(setup.certificates.get("a.b.localhost"), { code: "tls_unknown_name" });
  });

  test("that an authority orders are waited for, but not for longer than anyone waits for a handshake", async () => {
    const ordered = Promise.withResolvers<void>();
    let stored: IssuedCertificate | null = null;
    const authority = { vouchesFor: (name: string) => name === "hello.example.com", obtain: () => ordered.promise };
    await using setup = start({ authority, stored: () => stored });
    setup.declared.add("hello.example.com");
    const impatient = setup.certificates.get("hello.example.com");
    clock.advance(await clock.nextTimerMs());
    await assert.rejects(impatient, { code: "certificate_unavailable", message: /still being ordered/ });
    const patient = setup.certificates.get("hello.example.com");
    stored = await ca.issue("hello.example.com");
    ordered.resolve();
    assert.equal(await patient, stored);
    assert.deepEqual(setup.issuer.asked, []);
  });

  test("are renewed after two thirds of their life, and the workers are told", async () => {
    await using setup = start();
    const first = await setup.certificates.get("hello.localhost");
    const { issuer } = setup;
    const dueMs = first.notBefore.getTime() + (LIFETIME_MS * 2) / 3 - clock.now();
    clock.advance(dueMs - DAY_MS / 2);
    assert.equal(await clock.nextTimerMs(), DAY_MS / 2);
    assert.equal(issuer.asked.length, 1);
    const told = setup.renewal();
    clock.advance(DAY_MS / 2);
    const renewed = await told;
    assert.ok(renewed.notAfter > first.notAfter);
    assert.equal(await setup.certificates.get("hello.localhost"), renewed);
    assert.deepEqual(issuer.asked, ["hello.localhost", "hello.localhost"]);
  });

  test("are renewed again and again, and always valid", async () => {
    await using setup = start();
    await setup.certificates.get("hello.localhost");
    for (let count = 0; count < 20; count++) {
      const told = setup.renewal();
      while (setup.renewals === count) {
        const certificate = await setup.certificates.get("hello.localhost");
        assert.ok(certificate.notAfter.getTime() > clock.now());
        clock.advance(await clock.nextTimerMs());
        await Promise.race([told, clock.nextTimerMs()]);
      }
    }
    assert.equal(setup.issuer.asked.length, 21);
  });

  test("issued together are renewed at different times", async () => {
    const shares = [0.1, 0.9, 0.5];
    await using setup = start({ random: () => shares.pop() ?? 0 });
    setup.declared.add("third.localhost");
    const names = ["hello.localhost", "other.localhost", "third.localhost"];
    const [first] = await Promise.all(names.map((name) => setup.certificates.get(name)));
    const bornMs = first!.notBefore.getTime();
    clock.advance(bornMs + LIFETIME_MS * (2 / 3 + 0.009) - clock.now());
    await clock.nextTimerMs();
    assert.equal(setup.renewals, 0);
    for (const [renewals, share] of [
      [1, 0.011],
      [2, 0.051],
      [3, 0.091],
    ] as const) {
      const told = setup.renewal();
      clock.advance(bornMs + LIFETIME_MS * (2 / 3 + share) - clock.now());
      await told;
      await clock.nextTimerMs();
      assert.equal(setup.renewals, renewals);
    }
  });

  test("that cannot be renewed serve until their last minute, while the issuer is asked at growing intervals", async () => {
    const { log, messages } = recordingLog();
    await using setup = start({ log });
    const { certificates, issuer } = setup;
    const first = await certificates.get("hello.localhost");
    issuer.isShut = true;
    clock.advance(first.notBefore.getTime() + (LIFETIME_MS * 2) / 3 - clock.now());
    const pauses: number[] = [];
    while (pauses.length < 9) {
      const pauseMs = await clock.nextTimerMs();
      pauses.push(pauseMs / MINUTE_MS);
      assert.equal(await certificates.get("hello.localhost"), first);
      clock.advance(pauseMs);
    }
    assert.deepEqual(pauses, [0.5, 1, 2, 4, 8, 16, 30, 30, 30]);
    await clock.nextTimerMs();
    assert.equal(messages.filter((message) => message === "the issuer is shut").length, 10);

    clock.advance(first.notAfter.getTime() - MINUTE_MS - 1 - clock.now());
    await clock.nextTimerMs();
    assert.equal(await certificates.get("hello.localhost"), first);
    clock.advance(1);
    await assert.rejects(certificates.get("hello.localhost"), { code: "certificate_unavailable", message: "the issuer is shut" });

    issuer.isShut = false;
    const told = setup.renewal();
    clock.advance(await clock.nextTimerMs());
    assert.equal(await certificates.get("hello.localhost"), await told);
  });

  test("that nobody could have are not ordered again before the back-off is over", async () => {
    await using setup = start();
    const { certificates, issuer } = setup;
    issuer.isShut = true;
    await assert.rejects(certificates.get("hello.localhost"), { message: "the issuer is shut" });
    for (let count = 0; count < 100; count++) await assert.rejects(certificates.get("hello.localhost"), { message: "the issuer is shut" });
    assert.equal(issuer.asked.length, 1);
    issuer.isShut = false;
    clock.advance(await clock.nextTimerMs());
    const certificate = await certificates.get("hello.localhost");
    assert.equal(certificate.hostname, "hello.localhost");
    assert.equal(issuer.asked.length, 2);
    assert.equal(setup.renewals, 0);
  });

  test("of an app that is gone are not renewed", async () => {
    await using setup = start();
    await setup.certificates.get("hello.localhost");
    await setup.certificates.get("other.localhost");
    setup.declared.delete("hello.localhost");
    const told = setup.renewal();
    clock.advance(5 * DAY_MS);
    assert.equal((await told).hostname, "other.localhost");
    await clock.nextTimerMs();
    assert.deepEqual(setup.issuer.asked, ["hello.localhost", "other.localhost", "other.localhost"]);
    await assert.rejects(setup.certificates.get("hello.localhost"), { code: "tls_unknown_name" });
  });

  test("beyond the limit are forgotten, those first that nobody asked for", async () => {
    await using setup = start({ max: 2, isDeclared: () => true });
    const { certificates, issuer } = setup;
    for (const name of ["a.localhost", "b.localhost", "a.localhost", "c.localhost", "a.localhost"]) await certificates.get(name);
    assert.deepEqual(issuer.asked, ["a.localhost", "b.localhost", "c.localhost"]);
    await certificates.get("b.localhost");
    assert.equal(issuer.asked.length, 4);
  });

  test("are renewed by the wall clock, also when a timer comes late", async () => {
    await using setup = start();
    const first = await setup.certificates.get("hello.localhost");
    assert.ok((await clock.nextTimerMs()) <= DAY_MS);
    const told = setup.renewal();
    clock.advance(30 * DAY_MS);
    assert.ok((await told).notBefore > first.notAfter);
  });

  test("that are due as soon as they are issued do not keep the issuer busy", async () => {
    await using setup = start({
      issuer: { issue: async (hostname) => ({ ...(await ca.issue(hostname)), notAfter: new Date(clock.now() + 2 * MINUTE_MS) }) },
    });
    await setup.certificates.get("hello.localhost");
    assert.equal(await clock.nextTimerMs(), MINUTE_MS);
  });

  test("that are due together are renewed a few at a time", async () => {
    await using setup = start({ isDeclared: () => true });
    const { certificates, issuer } = setup;
    const names = Array.from({ length: 20 }, (_, index) => `app-${index}.localhost`);
    await Promise.all(names.map((name) => certificates.get(name)));
    const { promise, resolve } = Promise.withResolvers<void>();
    issuer.gate = promise;
    clock.advance(5 * DAY_MS);
    await new Promise(setImmediate);
    assert.equal(issuer.asked.length, 20 + 4);
    issuer.gate = Promise.resolve();
    resolve();
    while (setup.renewals < 20) await setup.renewal();
    assert.equal(issuer.asked.length, 40);
  });

  test("under way are given up when the node stops", async () => {
    const setup = start();
    setup.issuer.gate = new Promise(() => {});
    const waiting = assert.rejects(setup.certificates.get("hello.localhost"), { message: "given up" });
    await setup.stop();
    await waiting;
  });

  test("can still be had after the component was started anew", async () => {
    const setup = start();
    await setup.stop();
    const again = new AbortController();
    const running = setup.certificates.run(again.signal);
    assert.equal((await setup.certificates.get("hello.localhost")).hostname, "hello.localhost");
    again.abort();
    await running;
  });
});
