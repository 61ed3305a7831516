// Which certificate a handshake gets, on real TLS connections; and how often the main thread is asked for one.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { SecureContext } from "node:tls";

import type { IssuedCertificate } from "../../src/certs/issuer.ts";
import { LocalCa } from "../../src/certs/local-ca.ts";
import { createSniCallback, type SniCallback, type SniOptions } from "../../src/certs/sni.ts";
import { tlsOptions } from "../../src/certs/tls-options.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { ScratchDirectory, silent, TlsServer } from "./fixtures.ts";

describe("the certificate of a handshake", () => {
  const scratch = new ScratchDirectory();
  let ca: LocalCa;
  let pastCa: LocalCa;
  before(async () => {
    const eightDaysAgo = Date.now() - 8 * 86_400_000;
    pastCa = await LocalCa.open(join(scratch.path, "ca"), { log: silent, now: () => eightDaysAgo });
    ca = await LocalCa.open(join(scratch.path, "ca"), { log: silent });
  });
  after(() => scratch[Symbol.dispose]());

  const declared = new Set(["hello.localhost", "other.localhost"]);

  /** A callback that asks the CA, and a list of what it asked for. */
  function createSni(options: Partial<SniOptions> = {}): { sni: SniCallback; asked: string[] } {
    const asked: string[] = [];
    const fetch = (hostname: string): Promise<IssuedCertificate> => {
      asked.push(hostname);
      return ca.issue(hostname);
    };
    return { sni: createSniCallback({ clientAuth: (hostname) => (declared.has(hostname) ? null : undefined), fetch, ...options }), asked };
  }

  /** What the callback answers; `isSync` tells whether it did so before it returned. */
  function ask(
    sni: SniCallback,
    servername: string,
  ): Promise<{ error: Error | null; context: SecureContext | undefined; isSync: boolean }> {
    return new Promise((resolve) => {
      let isSync = true;
      sni(servername, (error, context) => resolve({ error, context, isSync }));
      isSync = false;
    });
  }

  test("is the one for the name that the client asks for", async () => {
    const { sni, asked } = createSni();
    await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
    for (const servername of ["hello.localhost", "other.localhost", "hello.localhost"]) {
      const { certificate } = await server.connect({ ca: ca.rootPem, servername });
      assert.equal(certificate.subjectaltname, `DNS:${servername}`);
    }
    assert.deepEqual(asked, ["hello.localhost", "other.localhost"]);
  });

  test("does not depend on how the client spells the name", async () => {
    const { sni, asked } = createSni();
    await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
    const checkServerIdentity = (): undefined => undefined;
    for (const servername of ["HELLO.localhost", "hello.localhost.", "Hello.LocalHost."]) {
      const { certificate } = await server.connect({ ca: ca.rootPem, servername, checkServerIdentity });
      assert.equal(certificate.subjectaltname, "DNS:hello.localhost");
    }
    assert.deepEqual(asked, ["hello.localhost"]);
  });

  test("is none for a name that no app declares, and nobody is asked for it", async () => {
    const { sni, asked } = createSni();
    await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
    await assert.rejects(server.connect({ ca: ca.rootPem, servername: "stranger.localhost" }), { code: "ECONNRESET" });
    assert.equal((server.failures[0] as ProxyError).code, "tls_unknown_name");
    assert.match(server.failures[0]!.message, /"stranger\.localhost"/);
    assert.deepEqual(asked, []);
  });

  test("is none where the client names nothing", async () => {
    const { sni, asked } = createSni();
    await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
    await assert.rejects(server.connect({ ca: ca.rootPem, servername: "" }));
    assert.deepEqual(asked, []);
  });

  test("is refused for what is no host name", async () => {
    const { sni, asked } = createSni({ clientAuth: () => null });
    for (const servername of ["", "a\0b.localhost", "hello.localhost\0.evil.example", "*.localhost", "a".repeat(300)]) {
      const { error, isSync } = await ask(sni, servername);
      assert.equal((error as ProxyError).code, "tls_unknown_name");
      assert.ok(isSync);
    }
    assert.deepEqual(asked, []);
  });

  test("is fetched once however many handshakes wait for it", async () => {
    const gate = Promise.withResolvers<void>();
    let fetches = 0;
    const { sni } = createSni({
      fetch: async (hostname) => {
        fetches++;
        await gate.promise;
        return ca.issue(hostname);
      },
    });
    await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
    const clients = Array.from({ length: 50 }, () => server.connect({ ca: ca.rootPem, servername: "hello.localhost" }));
    const waiting = ask(sni, "hello.localhost");
    gate.resolve();
    const serials = (await Promise.all(clients)).map(({ certificate }) => certificate.serialNumber);
    assert.equal((await waiting).isSync, false);
    assert.equal(new Set(serials).size, 1);
    assert.equal(fetches, 1);
  });

  test("is answered at once when it is known", async () => {
    const { sni } = createSni();
    const first = await ask(sni, "hello.localhost");
    const second = await ask(sni, "hello.localhost");
    assert.equal(first.isSync, false);
    assert.equal(second.isSync, true);
    assert.equal(second.context, first.context);
  });

  test("fails with the reason when none can be had, and is asked for again by the next handshake", async () => {
    let failures = 2;
    const { sni } = createSni({
      fetch: (hostname) => (failures-- > 0 ? Promise.reject(new Error("the issuer is on holiday")) : ca.issue(hostname)),
    });
    const [one, other] = await Promise.all([ask(sni, "hello.localhost"), ask(sni, "other.localhost")]);
    assert.equal((one.error as ProxyError).code, "certificate_unavailable");
    assert.match(other.error!.message, /"other\.localhost": the issuer is on holiday/);
    assert.equal((await ask(sni, "hello.localhost")).error, null);
  });

  test("fails where the certificate is unusable", async () => {
    const { sni } = createSni({ fetch: async (hostname) => ({ ...(await ca.issue(hostname)), certificatePem: "not PEM" }) });
    const { error } = await ask(sni, "hello.localhost");
    assert.equal((error as ProxyError).code, "certificate_unavailable");
  });

  test("is the renewed one after a renewal", async () => {
    const { sni, asked } = createSni();
    await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
    const first = await server.connect({ ca: ca.rootPem, servername: "hello.localhost" });
    const renewed = await ca.issue("hello.localhost");
    sni.set("hello.localhost", renewed);
    const second = await server.connect({ ca: ca.rootPem, servername: "hello.localhost" });
    assert.notEqual(first.certificate.serialNumber, second.certificate.serialNumber);
    assert.equal(second.certificate.serialNumber, new X509Certificate(renewed.certificatePem).serialNumber);
    assert.deepEqual(asked, ["hello.localhost"]);
  });

  test("is the renewed one when the renewal overtakes a fetch", async () => {
    const gate = Promise.withResolvers<IssuedCertificate>();
    const { sni } = createSni({ fetch: () => gate.promise });
    const waiting = ask(sni, "hello.localhost");
    sni.set("hello.localhost", await ca.issue("hello.localhost"));
    const renewed = await ask(sni, "hello.localhost");
    gate.resolve(await ca.issue("hello.localhost"));
    assert.equal((await waiting).context, renewed.context);
    assert.equal((await ask(sni, "hello.localhost")).context, renewed.context);
  });

  test("is asked for again once it was forgotten, by its name or by a wildcard above it", async () => {
    const { sni, asked } = createSni({ clientAuth: () => null });
    const names = ["a.example.com", "b.example.com", "x.a.example.com", "example.com", "127.0.0.1"];
    for (const name of names) await ask(sni, name);
    const kept = async (): Promise<string[]> => {
      asked.length = 0;
      for (const name of names) await ask(sni, name);
      return names.filter((name) => !asked.includes(name));
    };
    sni.forget(["example.com", "nobody.example.com"]);
    assert.deepEqual(await kept(), ["a.example.com", "b.example.com", "x.a.example.com", "127.0.0.1"]);
    sni.forget(["*.example.com"]);
    assert.deepEqual(await kept(), ["x.a.example.com", "example.com", "127.0.0.1"]);
    sni.forget(["*.com", "*.a.example.com"]);
    assert.deepEqual(await kept(), ["a.example.com", "b.example.com", "127.0.0.1"]);
  });

  test("is one and the same for all names below a wildcard, which do not drive out others, however many clients think of", async () => {
    const wildcard = { ...(await ca.issue("example.com")), hostname: "*.example.com" };
    const asked: string[] = [];
    const fetch = async (hostname: string): Promise<IssuedCertificate> => {
      asked.push(hostname);
      return hostname.endsWith(".example.com") ? wildcard : await ca.issue(hostname);
    };
    const { sni } = createSni({ clientAuth: () => null, max: 2, fetch });
    const own = await ask(sni, "own.localhost");
    const first = await ask(sni, "a.example.com");
    for (const name of ["b", "c", "d"]) assert.equal((await ask(sni, `${name}.example.com`)).context, first.context);
    assert.deepEqual(await ask(sni, "own.localhost"), { ...own, isSync: true });
    assert.equal((await ask(sni, "d.example.com")).isSync, true);
    assert.equal((await ask(sni, "a.example.com")).isSync, false);

    const mine = await ca.issue("d.example.com");
    sni.set("d.example.com", mine);
    assert.notEqual((await ask(sni, "d.example.com")).context, first.context);
    asked.length = 0;
    sni.forget(["*.example.com"]);
    await ask(sni, "a.example.com");
    await ask(sni, "d.example.com");
    assert.deepEqual(asked, ["a.example.com", "d.example.com"]);
  });

  test("that was forgotten while it was on its way is good for those who wait, and not kept", async () => {
    const gate = Promise.withResolvers<IssuedCertificate>();
    let fetches = 0;
    const { sni } = createSni({ fetch: () => (fetches++ === 0 ? gate.promise : ca.issue("hello.localhost")) });
    const waiting = [ask(sni, "hello.localhost"), ask(sni, "hello.localhost")];
    sni.forget(["hello.localhost"]);
    gate.resolve(await ca.issue("hello.localhost"));
    const [first] = await Promise.all(waiting);
    assert.ok(first!.context);
    const second = await ask(sni, "hello.localhost");
    assert.deepEqual([second.isSync, fetches], [false, 2]);
    assert.notEqual(second.context, first!.context);
    assert.equal((await ask(sni, "hello.localhost")).isSync, true);
  });

  test("is fetched anew once it has expired", async () => {
    let nowMs = Date.now();
    const { sni, asked } = createSni({ now: () => nowMs });
    const first = await ask(sni, "hello.localhost");
    nowMs += 8 * 86_400_000;
    const second = await ask(sni, "hello.localhost");
    assert.equal(second.isSync, false);
    assert.notEqual(second.context, first.context);
    assert.equal(asked.length, 2);
  });

  test("is not served from memory when it came in expired", async () => {
    const { sni, asked } = createSni();
    sni.set("hello.localhost", await pastCa.issue("hello.localhost"));
    await ask(sni, "hello.localhost");
    assert.deepEqual(asked, ["hello.localhost"]);
  });

  test("is gone with the app that declared the name", async () => {
    const names = new Set(["hello.localhost"]);
    const { sni } = createSni({ clientAuth: (hostname) => (names.has(hostname) ? null : undefined) });
    await ask(sni, "hello.localhost");
    names.clear();
    const { error, isSync } = await ask(sni, "hello.localhost");
    assert.equal((error as ProxyError).code, "tls_unknown_name");
    assert.ok(isSync);
  });

  test("is kept for the names asked for last", async () => {
    const { sni, asked } = createSni({ max: 2, clientAuth: () => null });
    for (const name of ["a.localhost", "b.localhost", "a.localhost", "c.localhost", "a.localhost", "b.localhost"]) await ask(sni, name);
    assert.deepEqual(asked, ["a.localhost", "b.localhost", "c.localhost", "b.localhost"]);
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`comes over ${version}, with the cheapest cipher, whatever the client prefers`, async () => {
      const { sni } = createSni();
      await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
      const ciphers = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256";
      const limits = { minVersion: version, maxVersion: version, ciphers };
      const { protocol, cipher } = await server.connect({ ca: ca.rootPem, servername: "hello.localhost", ...limits });
      assert.equal(protocol, version);
      assert.equal(cipher, version === "TLSv1.3" ? "TLS_AES_128_GCM_SHA256" : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    });

    test(`is not sent again to a ${version} client that resumes, also at another worker of the node`, async () => {
      const options = tlsOptions({ ticketKeys: Buffer.alloc(48, 7) });
      await using one = new TlsServer({ ...options, SNICallback: createSni().sni });
      const { sni, asked } = createSni();
      await using other = new TlsServer({ ...options, SNICallback: sni });
      const client = { ca: ca.rootPem, servername: "hello.localhost", maxVersion: version };
      const first = await one.connect(client);
      assert.equal(first.isResumed, false);
      const second = await other.connect({ ...client, session: first.session });
      assert.equal(second.isResumed, true);
      assert.deepEqual(asked, []);
    });
  }

  test("is not to be had over anything older, or without authenticated encryption", async () => {
    const { sni } = createSni();
    await using server = new TlsServer({ ...tlsOptions(), SNICallback: sni });
    const client = { ca: ca.rootPem, servername: "hello.localhost" };
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" } as const;
    await assert.rejects(server.connect({ ...client, ...old }), /alert protocol version|unsupported protocol/);
    const weak = { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA" } as const;
    await assert.rejects(server.connect({ ...client, ...weak }), /handshake failure/);
  });
});
