import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, it } from "node:test";

import { pino } from "pino";

import { MemoryStore } from "../../src/state/memory-store.ts";
import { RecordJournal, type RecordStore } from "../../src/wake/record-journal.ts";

/** The real store behind a door that a test opens and shuts. */
class Door extends EventEmitter implements RecordStore {
  readonly store = new MemoryStore();
  writes = 0;
  isBroken = false;
  opened: Promise<void> = Promise.resolve();

  list(prefix: string): ReturnType<RecordStore["list"]> {
    return this.store.list(prefix);
  }
  async put(key: string, value: string): Promise<unknown> {
    await this.#pass();
    return await this.store.put(key, value);
  }
  async delete(key: string): Promise<void> {
    await this.#pass();
    await this.store.delete(key);
  }
  async value(key: string): Promise<string | undefined> {
    return (await this.store.get(key))?.value;
  }
  async #pass(): Promise<void> {
    this.writes += 1;
    this.emit("write");
    await this.opened;
    if (this.isBroken) throw new Error("the disk is full");
  }
}

function journalOf(door: Door): { journal: RecordJournal; levels: number[] } {
  const levels: number[] = [];
  const log = pino({}, { write: (line: string) => void levels.push(JSON.parse(line).level) });
  return { journal: new RecordJournal(door, log, () => 0), levels };
}

describe("the journal of machine records", () => {
  it("writes the newest value of a key only", async () => {
    const door = new Door();
    const { journal } = journalOf(door);
    for (const value of ["1", "2", "3"]) journal.write("machines/a", value);
    journal.write("machines/b", "1");
    await journal.flushed(5000);
    assert.equal(await door.value("machines/a"), "3");
    assert.equal(door.writes, 2);
    journal.write("machines/a", null);
    await journal.flushed(5000);
    assert.equal(await door.value("machines/a"), undefined);
  });

  it("takes what comes while it writes", async () => {
    const door = new Door();
    const { journal } = journalOf(door);
    const opening = Promise.withResolvers<void>();
    door.opened = opening.promise;
    journal.write("machines/a", "1");
    await once(door, "write");
    journal.write("machines/a", "2");
    opening.resolve();
    await journal.flushed(5000);
    assert.equal(await door.value("machines/a"), "2");
  });

  it("holds nobody up longer than asked when the store is slow", async () => {
    const door = new Door();
    const { journal } = journalOf(door);
    const opening = Promise.withResolvers<void>();
    door.opened = opening.promise;
    journal.write("machines/a", "1");
    await journal.flushed(10);
    assert.equal(await door.value("machines/a"), undefined);
    opening.resolve();
    await journal.flushed(5000);
    assert.equal(await door.value("machines/a"), "1");
  });

  it("tries again while the store fails, says so once, and holds nobody up", async () => {
    const door = new Door();
    const { journal, levels } = journalOf(door);
    door.isBroken = true;
    journal.write("machines/a", "1");
    await journal.flushed(60_000);
    assert.equal(journal.failing, true);
    await journal.flushed(60_000);
    journal.write("machines/a", "2");
    door.isBroken = false;
    await once(door, "write");
    await door.opened;
    while (journal.failing) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await door.value("machines/a"), "2");
    assert.deepEqual(levels, [50, 30]);
  });
});
