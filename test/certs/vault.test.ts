// The vault: which certificate a name gets, what it hears from other nodes, and what happens when the store or the secret is gone.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import { before, describe, test } from "node:test";

import { Secret } from "../../src/certs/secret.ts";
import { Vault, type NewAcmeCertificate, type VaultOptions } from "../../src/certs/vault.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import { SqliteStore } from "../../src/state/sqlite-store.ts";
import type { Fence, Store } from "../../src/state/store.ts";
import { TestAuthority, type LeafOptions } from "../support/test-authority.ts";
import { ManualClock, recordingLog, ScratchDirectory, silent } from "./fixtures.ts";

const MINUTE_MS = 60_000;
const SECRET = randomBytes(32).toString("base64");

describe("the vault", () => {
  let ca: TestAuthority;
  before(async () => {
    ca = await TestAuthority.create();
  });

  interface Node {
    readonly vault: Vault;
    /** The next news. */
    changed(): Promise<readonly string[]>;
    readonly news: readonly (readonly string[])[];
  }

  async function createNode(store: Store, changes: Partial<VaultOptions> & { readonly secretText?: string } = {}): Promise<Node> {
    const { secretText = SECRET, ...options } = changes;
    const secret = await Secret.open({ path: "", environment: secretText, isInUse: async () => false, log: silent });
    const events = new EventEmitter();
    const news: (readonly string[])[] = [];
    const onChanged = (names: readonly string[]): void => {
      news.push(names);
      events.emit("changed", names);
    };
    const vault = new Vault({ store, secret, onChanged, log: silent, ...options });
    return { vault, news, changed: async () => (await once(events, "changed"))[0] };
  }

  async function acme(hostname: string, options: LeafOptions = {}): Promise<NewAcmeCertificate> {
    const { pem, keyPem, notBefore, notAfter } = await ca.leaf([hostname], options);
    const certificatePem = pem + ca.intermediatePem;
    return {
      hostname,
      certificatePem,
      privateKeyPem: keyPem,
      notBefore,
      notAfter,
      directory: "https://ca.example/dir",
      challenge: "http-01",
    };
  }

  async function imported(names: readonly string[], options: LeafOptions = {}) {
    const { pem, keyPem } = await ca.leaf(names, options);
    return { names, certificatePem: pem + ca.intermediatePem, privateKeyPem: keyPem };
  }

  async function fence(store: Store, name: string): Promise<Fence> {
    const lease = await store.lease(`certs/${name}`, MINUTE_MS);
    assert.ok(lease);
    return lease;
  }

  test("serves the imported certificate of a name, then its own, then a wildcard's", async () => {
    const store = new MemoryStore();
    const { vault } = await createNode(store);
    await vault.load();
    assert.equal(vault.serving("www.example.com"), null);
    const served = (): string | undefined => vault.serving("www.example.com")?.storeKey;

    await vault.putAcme(await acme("*.example.com"), await fence(store, "_wildcard.example.com"));
    assert.equal(served(), "certs/acme/_wildcard.example.com");
    await vault.putAcme(await acme("www.example.com"), await fence(store, "www.example.com"));
    assert.equal(served(), "certs/acme/www.example.com");
    const wildcard = (await vault.putImported(await imported(["*.example.com"]))).certificate;
    assert.equal(served(), wildcard.storeKey);
    const own = (await vault.putImported(await imported(["example.com", "www.example.com"]))).certificate;
    assert.equal(served(), own.storeKey);

    assert.equal(vault.serving("a.b.example.com"), null);
    assert.equal(vault.serving("example.com")?.storeKey, own.storeKey);
    assert.equal(vault.serving("other.example.com")?.storeKey, wildcard.storeKey);
    assert.equal(vault.acme("www.example.com")?.challenge, "http-01");
    assert.equal(vault.cover("www.example.com")?.storeKey, own.storeKey);
    assert.ok(vault.isServed(own) && vault.isServed(wildcard));

    await vault.delete(own);
    assert.equal(served(), wildcard.storeKey);
    await vault.delete(wildcard);
    assert.equal(served(), "certs/acme/www.example.com");
    assert.equal(vault.cover("www.example.com")?.storeKey, "certs/acme/_wildcard.example.com");
    await vault.deleteAcme("www.example.com");
    assert.equal(served(), "certs/acme/_wildcard.example.com");
    await vault.deleteAcme("*.example.com");
    assert.equal(vault.serving("www.example.com"), null);
    assert.deepEqual(await store.list("certs/"), []);
  });

  test("falls back when an imported certificate comes to its last minute, and does not serve one before its time", async () => {
    const store = new MemoryStore();
    const startMs = Date.now();
    let nowMs = startMs;
    const { vault } = await createNode(store, { now: () => nowMs });
    await vault.putAcme(await acme("www.example.com"), await fence(store, "www.example.com"));
    const end = { notBefore: new Date(startMs + MINUTE_MS), notAfter: new Date(startMs + 10 * MINUTE_MS) };
    const { certificate } = await vault.putImported(await imported(["www.example.com"], end));
    const endMs = certificate.notAfter.getTime();
    assert.equal(vault.serving("www.example.com")?.source, "acme");
    nowMs = certificate.notBefore.getTime();
    assert.equal(vault.serving("www.example.com")?.source, "imported");
    nowMs = endMs - MINUTE_MS - 1;
    assert.equal(vault.serving("www.example.com")?.source, "imported");
    nowMs = endMs - MINUTE_MS;
    assert.equal(vault.serving("www.example.com")?.source, "acme");
    assert.equal(vault.list().length, 2);
  });

  test("tells of a certificate when it becomes valid, to the moment", async () => {
    const clock = new ManualClock();
    const node = await createNode(new MemoryStore(), { now: clock.now, startTimer: clock.startTimer });
    const stopping = new AbortController();
    const running = node.vault.run(stopping.signal);
    const at = (days: number): Date => new Date(clock.now() + days * 24 * 60 * MINUTE_MS);
    const [beginsAt, endsAt] = [at(3), at(90)];
    await node.vault.putImported(await imported(["www.example.com"], { notBefore: beginsAt, notAfter: endsAt }));
    const deleted = await node.vault.putImported(await imported(["gone.example.com"], { notBefore: at(1), notAfter: endsAt }));
    await node.vault.delete(deleted.certificate);
    const before = node.news.length;
    while (clock.now() < beginsAt.getTime()) {
      assert.equal(node.vault.serving("www.example.com"), null);
      assert.equal(node.news.length, before);
      const told = node.changed();
      clock.advance(await clock.nextTimerMs());
      if (clock.now() >= beginsAt.getTime()) assert.deepEqual(await told, ["www.example.com"]);
    }
    assert.equal(clock.now(), beginsAt.getTime());
    assert.ok(node.vault.serving("www.example.com"));
    stopping.abort();
    await running;
  });

  test("gives a certificate with its whole chain and its key, which are those that were put", async () => {
    const store = new MemoryStore();
    const { vault } = await createNode(store);
    const put = await acme("www.example.com");
    await vault.putAcme(put, await fence(store, "www.example.com"));
    const { directory, challenge, ...certificate } = put;
    assert.deepEqual(vault.issued("www.example.com"), certificate);
    const value = (await store.get("certs/acme/www.example.com"))?.value ?? "";
    assert.ok(!value.includes("PRIVATE KEY") && !value.includes(put.privateKeyPem.split("\n")[1]!), "the key is in the store as it is");
    assert.deepEqual(
      vault.list().map((one) => [one.directory, one.challenge, one.names]),
      [[directory, challenge, ["www.example.com"]]],
    );
  });

  test("takes the place of an imported certificate with the same names, and of no other", async () => {
    const { vault } = await createNode(new MemoryStore());
    const first = await vault.putImported(await imported(["a.example.com", "b.example.com"]));
    const other = await vault.putImported(await imported(["a.example.com"]));
    assert.deepEqual(other.replaced, []);
    const second = await vault.putImported(await imported(["b.example.com", "a.example.com"]));
    assert.deepEqual(
      second.replaced.map(({ storeKey }) => storeKey),
      [first.certificate.storeKey],
    );
    assert.equal(vault.list().length, 2);
    assert.equal(vault.serving("b.example.com")?.storeKey, second.certificate.storeKey);
  });

  test("is not written by a node whose lease was taken by another", async () => {
    const store = new MemoryStore();
    const { vault } = await createNode(store);
    const lease = await store.lease("certs/www.example.com", MINUTE_MS);
    await lease!.release();
    await assert.rejects(vault.putAcme(await acme("www.example.com"), lease!), { code: "lease_lost" });
    assert.equal(vault.acme("www.example.com"), null);
  });

  describe("of another node", () => {
    interface Follower extends Node, AsyncDisposable {
      readonly ended: Promise<void>;
    }

    async function follow(store: Store): Promise<Follower> {
      const node = await createNode(store);
      await node.vault.load();
      const stopping = new AbortController();
      const ended = node.vault.run(stopping.signal);
      ended.catch(() => {});
      const stop = async (): Promise<void> => {
        stopping.abort();
        await ended.catch(() => {});
      };
      return { ...node, ended, [Symbol.asyncDispose]: stop };
    }

    test("hears of new certificates, renewals and deletions, with the names that they are about", async () => {
      const store = new MemoryStore();
      const { vault } = await createNode(store);
      await using other = await follow(store);
      let heard = other.changed();
      await vault.putAcme(await acme("www.example.com"), await fence(store, "www.example.com"));
      assert.deepEqual(await heard, ["www.example.com"]);
      assert.deepEqual(other.vault.issued("www.example.com"), vault.issued("www.example.com"));

      heard = other.changed();
      await vault.putAcme(await acme("www.example.com"), { name: "certs/www.example.com", token: 1 });
      await heard;
      assert.deepEqual(other.vault.issued("www.example.com"), vault.issued("www.example.com"));

      heard = other.changed();
      const { certificate } = await vault.putImported(await imported(["*.example.com", "example.com"]));
      assert.deepEqual(await heard, ["*.example.com", "example.com"]);
      assert.equal(other.vault.serving("x.example.com")?.fingerprint, certificate.fingerprint);

      heard = other.changed();
      await vault.delete(certificate);
      assert.deepEqual(await heard, ["*.example.com", "example.com"]);
      assert.equal(other.vault.serving("x.example.com"), null);
    });

    test("says nothing where only the seal is another", async () => {
      const store = new MemoryStore();
      const { vault } = await createNode(store);
      await using other = await follow(store);
      const first = other.changed();
      await vault.putAcme(await acme("www.example.com"), await fence(store, "www.example.com"));
      await first;
      const entry = await store.get("certs/acme/www.example.com");
      const second = other.changed();
      await store.put(entry!.key, entry!.value);
      await vault.putImported(await imported(["other.example.com"]));
      assert.deepEqual(await second, ["other.example.com"]);
      assert.equal(other.news.length, 2);
    });

    test("that was left behind reads everything anew, and tells what is different", async () => {
      const store = new MemoryStore({ maxTombstones: 1 });
      const { vault } = await createNode(store);
      const gone = (await vault.putImported(await imported(["gone.example.com"]))).certificate;
      await vault.putImported(await imported(["stays.example.com"]));
      const node = await createNode(store);
      await node.vault.load();
      assert.equal(node.news.length, 1);
      await vault.delete(gone);
      await vault.putImported(await imported(["new.example.com"]));
      for (const key of ["x/1", "x/2", "x/3"]) {
        await store.put(key, "");
        await store.delete(key);
      }
      const heard = node.changed();
      const stopping = new AbortController();
      const running = node.vault.run(stopping.signal);
      assert.deepEqual((await heard).toSorted(), ["gone.example.com", "new.example.com"]);
      assert.equal(node.vault.serving("gone.example.com"), null);
      assert.ok(node.vault.serving("new.example.com") && node.vault.serving("stays.example.com"));
      stopping.abort();
      await running;
    });

    test("serves on from memory when the store is gone, and ends so that it is started anew", async () => {
      const store = new MemoryStore();
      const { vault } = await createNode(store);
      await vault.putImported(await imported(["www.example.com"]));
      await using other = await follow(store);
      await store.close();
      await assert.rejects(other.ended, { code: "store_unavailable" });
      assert.ok(other.vault.issued("www.example.com"));
      await assert.rejects(other.vault.load(), { code: "store_unavailable" });
      assert.ok(other.vault.issued("www.example.com"));
      await assert.rejects(other.vault.putImported(await imported(["new.example.com"])), { code: "store_unavailable" });
      assert.equal(other.vault.serving("new.example.com"), null);
    });
  });

  test("with another secret says so at the start and to whoever asks, without a word of the key", async () => {
    const store = new MemoryStore();
    const { vault } = await createNode(store);
    const put = await imported(["www.example.com"]);
    await vault.putImported(put);
    const { log, messages } = recordingLog();
    const other = await createNode(store, { log, secretText: randomBytes(32).toString("base64") });
    await other.vault.load();
    assert.match(messages.join("\n"), /sealed with the secret [0-9a-f]{8}, which is not here; give this node the KITTIWAKE_SECRET/);
    assert.throws(
      () => other.vault.issued("www.example.com"),
      (error: ProxyError) => error.code === "secret_unavailable" && !error.message.includes("PRIVATE"),
    );
    assert.equal(other.vault.issued("unknown.example.com"), null);
    // What it can seal itself it serves.
    await other.vault.putImported(
      await imported(["www.example.com", "b.example.com"], { notAfter: new Date(Date.now() + 10 * MINUTE_MS) }),
    );
    assert.deepEqual(other.vault.issued("www.example.com")?.hostname, "www.example.com");
  });

  test("on a full disk keeps what it has, refuses what is new, and takes it once there is room", async () => {
    using scratch = new ScratchDirectory();
    const path = join(scratch.path, "state.db");
    const roomy = new SqliteStore({ path });
    const first = await createNode(roomy);
    await first.vault.putImported(await imported(["www.example.com"]));
    await roomy.close();
    await using full = disposable(new SqliteStore({ path, maxBytes: 1 }));
    const { vault, news } = await createNode(full);
    await vault.load();
    const put = await imported(Array.from({ length: 400 }, (_, index) => `name-${index}.example.com`));
    await assert.rejects(
      vault.putImported(put),
      (error: ProxyError) => error.code === "store_unavailable" && !error.message.includes("PRIVATE"),
    );
    assert.equal(vault.serving("name-1.example.com"), null);
    assert.ok(vault.issued("www.example.com"));
    assert.equal(news.length, 1);
    await full.close();
    await using again = disposable(new SqliteStore({ path }));
    const later = await createNode(again);
    await later.vault.load();
    await later.vault.putImported(put);
    assert.ok(later.vault.issued("name-399.example.com") && later.vault.issued("www.example.com"));
  });

  test("is read with as many questions to the store for thousands of certificates as for one", async () => {
    const asked: string[] = [];
    const store = new MemoryStore();
    const counting = new Proxy(store, {
      get: (target, name: "list") => {
        const method = target[name];
        return (...parameters: [string]) => {
          asked.push([name, ...parameters].join(" "));
          return method.apply(target, parameters);
        };
      },
    });
    const { vault } = await createNode(counting);
    await vault.putAcme(await acme("a.example.com"), await fence(store, "a.example.com"));
    const form = JSON.parse((await store.get("certs/acme/a.example.com"))!.value) as { names: string[] };
    for (let index = 0; index < 3000; index++) {
      const name = `app-${index}.example.com`;
      await store.put(`certs/acme/${name}`, JSON.stringify({ ...form, names: [name], fingerprint: String(index) }));
    }
    asked.length = 0;
    await vault.load();
    assert.deepEqual(asked, ["revision", "list certs/acme/", "list certs/imported/"]);
    assert.equal(vault.list().length, 3001);
    assert.equal(vault.serving("app-2999.example.com")?.fingerprint, "2999");
  });

  test("goes on without an entry that cannot be read", async () => {
    const store = new MemoryStore();
    await store.put("certs/acme/a.example.com", "{}");
    await store.put("certs/imported/b", "not even JSON");
    const { log, messages } = recordingLog();
    const { vault } = await createNode(store, { log });
    await vault.putImported(await imported(["www.example.com"]));
    await vault.load();
    assert.deepEqual(messages, [
      "a stored certificate cannot be read, going on without it",
      "a stored certificate cannot be read, going on without it",
    ]);
    assert.equal(vault.list().length, 1);
  });
});

/** Closed at the end of the test. */
function disposable(store: SqliteStore): SqliteStore & AsyncDisposable {
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}
