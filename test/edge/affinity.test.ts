// Which machines a client's cookie leads to, and which not any more. Reference section 4.8, docs/decisions/010.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Aim } from "../../src/core/aim.ts";
import { Affinity } from "../../src/edge/affinity.ts";
import { SignedCookies } from "../../src/edge/signed-cookies.ts";
import { wishOf } from "../../src/edge/steering.ts";
import { EditedFields } from "../../src/http/edited-head.ts";

const cookies = new SignedCookies({ keys: [Buffer.alloc(32, 1)], now: () => 0 });
const sticky = { cookie: "kittiwake_sticky", forS: 60 };
const primary = { region: "nrt", readMethods: ["GET"], alwaysForward: [], passthrough: [], followS: 10, fallback: "none" } as const;
const up = { id: "a", region: "ams", health: "passing", cordoned: false, wakeMs: 0, outlier: { isEjected: false } } as const;

function cookie(name: string, text: string): [string, string] {
  return ["cookie", cookies.set(name, "hello", { text, forS: 60, isSecure: false }).replace(/;.*/, "")];
}

/** `a | nrt | any`: the chain of targets. */
function chain(aim: Aim | null): string {
  const targets: string[] = [];
  for (let one = aim; one !== null; one = one.orElse) {
    const { machine, regions } = one.target;
    targets.push([machine, regions?.join()].filter((part) => part !== null && part !== undefined).join(" in ") || "any");
  }
  return targets.join(" | ");
}

for (const [title, changes, isAnyUp, expected] of [
  ["is up", {}, true, "a | any"],
  ["is up, as one of many that no check has asked yet", { health: "unknown" }, true, "a | any"],
  ["is cordoned", { cordoned: true }, true, ""],
  ["fails its checks", { health: "critical" }, true, ""],
  ["was ejected", { outlier: { isEjected: true } }, true, ""],
  ["sleeps lightly", { wakeMs: 1000 }, true, "a | any"],
  ["sleeps deeply", { wakeMs: 1001 }, true, ""],
  ["sleeps deeply, as all do", { wakeMs: 5000 }, false, "a | any"],
  ["is cordoned, and nothing is up", { cordoned: true }, false, ""],
  ["is another one", { id: "b" }, true, ""],
] as const) {
  test(`4.8 the machine of the cookie ${title}`, () => {
    const affinity = new Affinity({ app: "hello", sticky, primary: null, machines: [{ ...up, ...changes }], cookies });
    const fields = EditedFields.of([cookie(sticky.cookie, "a")]);
    const { aim, sticks, kept } = affinity.bond({ method: "GET", target: "/", fields }, null, isAnyUp);
    assert.deepEqual([chain(aim), sticks, kept?.text], [expected, true, "a"]);
  });
}

for (const [title, method, lines, expected] of [
  ["reads", "GET", [], ""],
  ["reads, and its client sticks", "GET", [cookie(sticky.cookie, "a")], "a | any"],
  ["reads what its client wrote", "GET", [cookie("kittiwake_primary", "nrt")], "nrt | any"],
  ["reads what its client wrote when another region was the primary", "GET", [cookie("kittiwake_primary", "ams")], ""],
  ["follows, and its client sticks elsewhere", "GET", [cookie(sticky.cookie, "a"), cookie("kittiwake_primary", "nrt")], "nrt | any"],
  ["follows, and its client sticks there", "GET", [cookie(sticky.cookie, "n"), cookie("kittiwake_primary", "nrt")], "n in nrt | nrt | any"],
  ["writes", "POST", [], "nrt"],
  ["writes, and its client sticks elsewhere", "POST", [cookie(sticky.cookie, "a")], "nrt"],
  ["writes, and its client sticks there", "POST", [cookie(sticky.cookie, "n")], "n in nrt | nrt"],
  ["writes and prefers a machine", "POST", [["fly-prefer-instance-id", "x"]], "x in nrt | nrt"],
  ["writes and prefers what is no machine", "POST", [["fly-prefer-instance-id", "x y"]], "nrt"],
  ["writes and prefers a region", "POST", [["fly-prefer-region", "ord"]], "nrt"],
  ["writes and is forced to a region", "POST", [["fly-force-region", "ord"]], "ord"],
  [
    "writes, prefers a machine and is forced to a region",
    "POST",
    [
      ["fly-prefer-instance-id", "x"],
      ["fly-force-region", "ord"],
    ],
    "x | ord",
  ],
  ["writes and is forced to a machine", "POST", [["fly-force-instance-id", "x"]], "x"],
  ["follows and prefers a region", "GET", [["fly-prefer-region", "ord"], cookie("kittiwake_primary", "nrt")], "ord | any"],
] as const satisfies readonly (readonly [string, string, readonly (readonly [string, string])[], string])[]) {
  test(`issue 5 part 8: a request that ${title} goes to ${expected || "whom the usual rules say"}`, () => {
    const machines = [up, { ...up, id: "n", region: "nrt" }];
    const affinity = new Affinity({ app: "hello", sticky, primary, machines, cookies });
    const fields = EditedFields.of(lines);
    assert.equal(chain(affinity.bond({ method, target: "/", fields }, wishOf(fields), true).aim), expected);
  });
}
