// What the store holds of each name, as nodes follow it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { NameRecords } from "../../src/certs/name-records.ts";
import { readAttempts } from "../../src/certs/renewal-records.ts";
import type { AttemptsRecord } from "../../src/certs/renewal-plan.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import { eventually } from "../support/eventually.ts";
import { recordingLog } from "./fixtures.ts";

const PREFIX = "certs/attempts/";
const record: AttemptsRecord = {
  failures: 1,
  kind: "refused",
  error: "no such host",
  directory: "https://ca.example.com/directory",
  failedAtMs: 1,
  retryAtMs: 2,
  limitedUntilMs: 0,
  refusedAtMs: [1],
};

describe("records of names", () => {
  const { log, messages } = recordingLog();

  function follow(store: MemoryStore): {
    readonly records: NameRecords<AttemptsRecord>;
    readonly changed: string[];
    stop(): Promise<void>;
  } {
    const changed: string[] = [];
    const records = new NameRecords({ store, prefix: PREFIX, read: readAttempts, onChange: (name) => void changed.push(name), log });
    const stopping = new AbortController();
    const running = records.run(stopping.signal);
    const stop = async (): Promise<void> => {
      stopping.abort();
      await running;
    };
    return { records, changed, stop };
  }

  test("are known to every node, wildcards too, and gone when one deletes them", async () => {
    const store = new MemoryStore();
    const [one, other] = [follow(store), follow(store)];
    await Promise.all([one.records.loaded, other.records.loaded]);
    const lease = (await store.lease("certs/x", 60_000))!;
    await one.records.put("*.example.com", record, lease);
    assert.deepEqual(one.records.get("*.example.com"), record);
    await eventually(() => other.records.get("*.example.com") !== null, "the news");
    assert.deepEqual([...other.records.entries()], [["*.example.com", record]]);
    assert.deepEqual(other.changed, ["*.example.com"]);
    await one.records.delete("*.example.com", lease);
    await eventually(() => other.records.get("*.example.com") === null, "the news");
    await Promise.all([one.stop(), other.stop()]);
  });

  test("are looked up anew by who has the lease, and not written without it", async () => {
    const store = new MemoryStore();
    const late = follow(store);
    await late.records.loaded;
    await late.stop();
    await store.put(`${PREFIX}a.example.com`, JSON.stringify(record));
    assert.equal(late.records.get("a.example.com"), null);
    assert.deepEqual(await late.records.fetch("a.example.com"), record);
    const lease = (await store.lease("certs/a.example.com", 60_000))!;
    await lease.release();
    await assert.rejects(late.records.put("a.example.com", { ...record, failures: 2 }, lease), { code: "lease_lost" });
    assert.equal(late.records.get("a.example.com")?.failures, 1);
  });

  test("that were deleted while nobody followed are forgotten when it is followed again", async () => {
    const store = new MemoryStore();
    await store.put(`${PREFIX}a.example.com`, JSON.stringify(record));
    const { records, stop } = follow(store);
    await records.loaded;
    await stop();
    await store.delete(`${PREFIX}a.example.com`);
    const stopping = new AbortController();
    const running = records.run(stopping.signal);
    await eventually(() => records.get("a.example.com") === null, "the record to be gone");
    stopping.abort();
    await running;
  });

  for (const text of ["{", "null", "[]", JSON.stringify({ ...record, failures: "many" }), JSON.stringify({ ...record, kind: "odd" })]) {
    test(`that nobody can read, such as ${text.slice(0, 24)}, are passed over and told of`, async () => {
      const store = new MemoryStore();
      await store.put(`${PREFIX}a.example.com`, text);
      const { records, stop } = follow(store);
      await records.loaded;
      assert.equal(records.get("a.example.com"), null);
      assert.equal(messages.at(-1), "a record in the store cannot be read");
      await stop();
    });
  }
});
