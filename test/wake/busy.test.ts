import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";

import { BusyMachines, busyFile } from "../../src/wake/busy.ts";

const DAY_MS = 86_400_000;
const dir = mkdtempSync(join(tmpdir(), "kittiwake-busy-"));
after(() => rmSync(dir, { recursive: true }));

let nowMs = 0;
const busy = new BusyMachines({ now: () => nowMs, wallClock: () => nowMs, dir });

describe("a machine that says that it is busy", () => {
  test("in a response is so for as long as it says, and no longer", () => {
    busy.note("one", 10);
    nowMs += 9999;
    assert.deepEqual([busy.isBusy("one"), busy.isBusy("other")], [true, false]);
    nowMs += 1;
    assert.equal(busy.isBusy("one"), false);
  });

  test("has the newest word hold, takes it back, and is believed for a day", () => {
    busy.note("one", 999_999);
    nowMs += DAY_MS - 1;
    assert.equal(busy.isBusy("one"), true);
    busy.note("one", 0);
    assert.equal(busy.isBusy("one"), false);
  });

  for (const [text, seconds] of [
    ["30\n", 30],
    ["", 60],
    ["working", 60],
    ["1".repeat(100), 60],
    ["0", 0],
    ["999999", DAY_MS / 1000],
  ] as const) {
    test(`in a file that holds ${JSON.stringify(text.slice(0, 10))} is so for ${seconds} s from when it was written`, () => {
      const path = busyFile(dir, "filed");
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      const writtenMs = 5_000_000_000;
      utimesSync(path, writtenMs / 1000, writtenMs / 1000);
      nowMs = writtenMs + Math.max(0, seconds * 1000 - 1);
      assert.equal(busy.isBusy("filed"), seconds > 0);
      nowMs = writtenMs + seconds * 1000;
      assert.equal(busy.isBusy("filed"), false);
    });
  }

  test("by a file that is none is not believed", () => {
    mkdirSync(busyFile(dir, "odd"), { recursive: true });
    assert.equal(busy.isBusy("odd"), false);
  });
});
