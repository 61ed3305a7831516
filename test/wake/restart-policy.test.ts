import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CrashHistory, decideExit, describeExit } from "../../src/wake/restart-policy.ts";

const FAILED = { exitCode: 1, signal: null };
const CLEAN = { exitCode: 0, signal: null };
const KILLED = { exitCode: null, signal: "SIGKILL" };
const UNSEEN = { exitCode: null, signal: null };

describe("the restart policy", () => {
  it("on-failure starts again what failed, was killed or went unseen, until the retries are used up", () => {
    const restart = { policy: "on-failure", retries: 2 } as const;
    assert.equal(decideExit(restart, CLEAN, 0), "stop");
    for (const exit of [FAILED, KILLED, UNSEEN]) {
      assert.deepEqual(
        [1, 2, 3].map((failures) => decideExit(restart, exit, failures)),
        ["restart", "restart", "give_up"],
      );
    }
  });

  it("always starts again, never does not", () => {
    for (const exit of [FAILED, CLEAN, KILLED, UNSEEN]) {
      assert.equal(decideExit({ policy: "always", retries: 0 }, exit, 99), "restart");
      assert.equal(decideExit({ policy: "never", retries: 10 }, exit, 1), "stop");
    }
  });

  it("names how a machine ended", () => {
    assert.deepEqual([FAILED, KILLED, UNSEEN].map(describeExit), ["exited with code 1", "was ended by SIGKILL", "ended"]);
  });
});

describe("a history of crashes", () => {
  it("asks for longer and longer pauses, up to a bound", () => {
    const history = new CrashHistory({ minMs: 100, maxMs: 400 }, () => 1);
    assert.equal(history.waitMs(0), 0);
    const pauses = [0, 1000, 2000, 3000].map((nowMs) => {
      history.note(nowMs);
      return history.waitMs(nowMs);
    });
    assert.deepEqual(pauses, [100, 200, 400, 400]);
    assert.equal(history.waitMs(3399), 1);
    assert.equal(history.waitMs(3400), 0);
  });

  it("counts five minutes back, and forgets when told to", () => {
    const history = new CrashHistory({ minMs: 100, maxMs: 400 }, () => 1);
    assert.deepEqual(
      [0, 299_999, 300_000].map((nowMs) => history.note(nowMs)),
      [1, 2, 2],
    );
    history.clear();
    assert.equal(history.waitMs(300_000), 0);
    assert.equal(history.note(300_001), 1);
  });
});
