// The secret that seals private keys: where it comes from, what it opens, how it is exchanged, and what is said when it is not there.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { rotateSecret } from "../../src/certs/seal-anew.ts";
import { Secret, type SecretOptions } from "../../src/certs/secret.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import { recordingLog, ScratchDirectory, silent } from "./fixtures.ts";

const KEY = "certs/imported/a";
const PLAIN = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n";

describe("the secret", () => {
  function options(scratch: ScratchDirectory, changes: Partial<SecretOptions> = {}): SecretOptions {
    return { path: join(scratch.path, "data/secret.key"), environment: undefined, isInUse: async () => false, log: silent, ...changes };
  }

  test("is made on the first start, for its owner alone, and found on the next", async () => {
    using scratch = new ScratchDirectory();
    const first = await Secret.open(options(scratch));
    const { path } = options(scratch);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const again = await Secret.open(options(scratch));
    assert.equal(again.keyId, first.keyId);
    assert.equal(again.open(KEY, first.seal(KEY, PLAIN)), PLAIN);
    assert.deepEqual(readdirSync(join(scratch.path, "data")), ["secret.key"]);
  });

  test("is the same for all that start at once", async () => {
    using scratch = new ScratchDirectory();
    const secrets = await Promise.all(Array.from({ length: 8 }, () => Secret.open(options(scratch))));
    assert.equal(new Set(secrets.map(({ keyId }) => keyId)).size, 1);
    assert.deepEqual(readdirSync(join(scratch.path, "data")), ["secret.key"]);
  });

  test("seals for one entry: under another key of the store nothing opens, nor does what was changed", async () => {
    using scratch = new ScratchDirectory();
    const secret = await Secret.open(options(scratch));
    const sealed = secret.seal(KEY, PLAIN);
    assert.ok(!sealed.includes("PRIVATE"));
    assert.notEqual(sealed, secret.seal(KEY, PLAIN));
    const failure = { code: "certificate_unavailable" };
    assert.throws(() => secret.open("certs/imported/b", sealed), failure);
    for (const damaged of [sealed.slice(0, -2), `${sealed.slice(0, -3)}AAA`, sealed.slice(0, 40), "sealed:1:00", "", PLAIN]) {
      assert.throws(
        () => secret.open(KEY, damaged),
        (error: ProxyError) => error.code === "certificate_unavailable" && !error.message.includes("BEGIN"),
        damaged,
      );
    }
  });

  test("gives keys for other purposes, the same wherever it is, in the order of its own, and tells when they change", async () => {
    using scratch = new ScratchDirectory();
    let changes = 0;
    const onChange = (): void => void changes++;
    const secret = await Secret.open(options(scratch, { onChange }));
    const [first] = secret.derived("cookies");
    assert.equal(first!.length, 32);
    assert.deepEqual((await Secret.open(options(scratch))).derived("cookies"), [first]);
    assert.notDeepEqual(secret.derived("another"), [first]);
    assert.ok(!readFileSync(options(scratch).path, "utf8").includes(first!.toString("base64")));
    assert.equal(changes, 0);
    await secret.addKey();
    assert.equal(changes, 1);
    assert.deepEqual(secret.derived("cookies").slice(1), [first]);
    assert.deepEqual(
      (await Secret.open(options(scratch, { path: join(scratch.path, "none"), isInUse: async () => true }))).derived("cookies"),
      [],
    );
  });

  test("comes from the environment in base64 or hex, and then no file is made", async () => {
    using scratch = new ScratchDirectory();
    const bytes = randomBytes(32);
    const forms = [bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("hex"), ` ${bytes.toString("base64")}\n`];
    const secrets = await Promise.all(forms.map((environment) => Secret.open(options(scratch, { environment }))));
    assert.equal(new Set(secrets.map(({ keyId }) => keyId)).size, 1);
    assert.deepEqual(readdirSync(scratch.path), []);
  });

  test("that is malformed is refused with what is expected, and is not repeated", async () => {
    using scratch = new ScratchDirectory();
    const { path } = options(scratch);
    mkdirSync(join(scratch.path, "data"));
    for (const text of [
      "",
      "# nothing\n",
      "correct-horse-battery",
      "a".repeat(42),
      "z".repeat(64),
      `${randomBytes(32).toString("base64")} hunter2`,
    ]) {
      const refused = (error: ProxyError): boolean =>
        error.code === "config_invalid" &&
        error.message.includes("openssl rand -base64 32") &&
        !/horse|aaa|zzz|hunter2/.test(error.message);
      await assert.rejects(Secret.open(options(scratch, { environment: text })), refused, text);
      writeFileSync(path, text);
      await assert.rejects(Secret.open(options(scratch)), refused, text);
    }
  });

  test("that others can read is complained of", async () => {
    using scratch = new ScratchDirectory();
    await Secret.open(options(scratch));
    chmodSync(options(scratch).path, 0o640);
    const { log, messages } = recordingLog();
    await Secret.open(options(scratch, { log }));
    assert.match(messages.join(), /others than its owner can read the secret/);
  });

  test("is not made where something is sealed already; once it is put back it is found without a restart", async () => {
    using scratch = new ScratchDirectory();
    const { path } = options(scratch);
    const owner = await Secret.open(options(scratch));
    const sealed = owner.seal(KEY, PLAIN);
    const text = readFileSync(path);
    rmSync(path);
    let nowMs = 0;
    const { log, messages } = recordingLog();
    const secret = await Secret.open(options(scratch, { log, isInUse: async () => true, now: () => nowMs }));
    assert.match(messages.join(), /put back ".*secret\.key" from a copy, or give this node the KITTIWAKE_SECRET/);
    assert.equal(secret.keyId, null);
    assert.equal(secret.canOpen(sealed), false);
    assert.throws(() => secret.open(KEY, sealed), {
      code: "secret_unavailable",
      message: new RegExp(`the secret ${owner.keyId}, which is not here`),
    });
    assert.throws(() => secret.seal(KEY, PLAIN), { code: "secret_unavailable" });
    assert.deepEqual(readdirSync(join(scratch.path, "data")), []);
    writeFileSync(path, text);
    assert.equal(secret.canOpen(sealed), false);
    nowMs += 5000;
    assert.equal(secret.open(KEY, sealed), PLAIN);
    assert.equal(secret.open(KEY, secret.seal(KEY, PLAIN)), PLAIN);
  });

  test("of another fleet opens nothing, and says which one would", async () => {
    using scratch = new ScratchDirectory();
    const owner = await Secret.open(options(scratch));
    const other = await Secret.open(options(scratch, { environment: randomBytes(32).toString("base64") }));
    const sealed = owner.seal(KEY, PLAIN);
    assert.throws(
      () => other.open(KEY, sealed),
      (error: ProxyError) => {
        assert.equal(error.code, "secret_unavailable");
        assert.match(error.message, new RegExp(`sealed with the secret ${owner.keyId}.*KITTIWAKE_SECRET`));
        return true;
      },
    );
  });
});

describe("exchanging the secret", () => {
  async function setUp(scratch: ScratchDirectory, environment?: string) {
    const secret = await Secret.open({ path: join(scratch.path, "secret.key"), environment, isInUse: async () => false, log: silent });
    const store = new MemoryStore();
    const fill = async (sealing: Secret): Promise<void> => {
      for (const name of ["a", "b"]) {
        const key = `certs/acme/${name}.example`;
        await store.put(key, JSON.stringify({ names: [name], key: sealing.seal(key, PLAIN + name) }));
      }
      await store.put(
        "certs/tickets",
        JSON.stringify({ keys: [1, 2].map((n) => ({ atMs: n, key: sealing.seal("certs/tickets", `ticket ${n}`) })) }),
      );
      await store.put("certs/attempts/a.example", '{"failures":1,"error":"sealed:1:nothing"}');
      await store.put("machines/x", "{}");
    };
    return { secret, store, fill };
  }

  async function sealedWithOf(store: MemoryStore): Promise<Set<string>> {
    const values = (await store.list("")).map(({ value }) => value).join();
    return new Set(Array.from(values.matchAll(/sealed:1:([0-9a-f]{8}):/g), ([, id]) => id!));
  }

  test("seals everything anew, wherever in an entry it is, and leaves everything else as it was", async () => {
    using scratch = new ScratchDirectory();
    const { secret, store, fill } = await setUp(scratch);
    await fill(secret);
    const before = secret.keyId;
    const untouched = await store.get("certs/attempts/a.example");
    assert.deepEqual(await rotateSecret(store, secret), { count: 3, unopened: [] });
    assert.notEqual(secret.keyId, before);
    assert.deepEqual(await sealedWithOf(store), new Set([secret.keyId]));
    assert.deepEqual(await store.get("certs/attempts/a.example"), untouched);
    const again = await Secret.open({
      path: join(scratch.path, "secret.key"),
      environment: undefined,
      isInUse: async () => true,
      log: silent,
    });
    const { key } = JSON.parse((await store.get("certs/acme/b.example"))!.value);
    assert.equal(again.open("certs/acme/b.example", key), `${PLAIN}b`);
    const { keys } = JSON.parse((await store.get("certs/tickets"))!.value);
    assert.equal(again.open("certs/tickets", keys[1].key), "ticket 2");
  });

  test("can be interrupted after any write and repeated", async () => {
    for (let writes = 0; writes < 3; writes++) {
      using scratch = new ScratchDirectory();
      const { secret, store, fill } = await setUp(scratch);
      await fill(secret);
      let left = writes;
      const failing = Object.assign(Object.create(store) as MemoryStore, {
        list: store.list.bind(store),
        get: store.get.bind(store),
        update: async (...parameters: Parameters<MemoryStore["update"]>) => {
          if (left-- === 0) throw new Error("the power went");
          return await store.update(...parameters);
        },
      });
      await assert.rejects(rotateSecret(failing, secret), { message: "the power went" });
      // The node starts again.
      const next = await Secret.open({
        path: join(scratch.path, "secret.key"),
        environment: undefined,
        isInUse: async () => true,
        log: silent,
      });
      for (const { key, value } of await store.list("certs/acme/")) assert.ok(next.open(key, JSON.parse(value).key).startsWith(PLAIN));
      assert.deepEqual((await rotateSecret(store, next)).unopened, []);
      assert.deepEqual(await sealedWithOf(store), new Set([next.keyId]));
    }
  });

  test("keeps the one before, for copies of the store, and none that is older", async () => {
    using scratch = new ScratchDirectory();
    const { secret, store, fill } = await setUp(scratch);
    await fill(secret);
    const sealed = [secret.seal(KEY, PLAIN)];
    for (let count = 0; count < 2; count++) {
      await rotateSecret(store, secret);
      sealed.push(secret.seal(KEY, PLAIN));
    }
    const again = await Secret.open({
      path: join(scratch.path, "secret.key"),
      environment: undefined,
      isInUse: async () => true,
      log: silent,
    });
    assert.deepEqual(
      sealed.map((text) => again.canOpen(text)),
      [false, true, true],
    );
  });

  test("of the environment seals with the first of several, and the others still open", async () => {
    using scratch = new ScratchDirectory();
    const [one, other] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
    const { secret: old, store, fill } = await setUp(scratch, one);
    await fill(old);
    const { secret } = await setUp(scratch, `${other}, ${one}`);
    assert.deepEqual(await rotateSecret(store, secret), { count: 3, unopened: [] });
    const { secret: last } = await setUp(scratch, other);
    assert.deepEqual(await sealedWithOf(store), new Set([last.keyId]));
    assert.deepEqual(await rotateSecret(store, last), { count: 0, unopened: [] });
  });

  test("names what it cannot open, and keeps every key meanwhile", async () => {
    using scratch = new ScratchDirectory();
    const { secret, store, fill } = await setUp(scratch);
    await fill(secret);
    const stranger = await Secret.open({
      path: "",
      environment: randomBytes(32).toString("base64"),
      isInUse: async () => false,
      log: silent,
    });
    await store.put("certs/imported/x", JSON.stringify({ key: stranger.seal("certs/imported/x", PLAIN) }));
    await store.put("certs/imported/moved", (await store.get("certs/acme/a.example"))!.value);
    assert.deepEqual(await rotateSecret(store, secret), { count: 3, unopened: ["certs/imported/moved", "certs/imported/x"] });
  });
});
