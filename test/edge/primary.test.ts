// Which requests write, as [kittiwake.primary] tells it.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PrimaryRules } from "../../src/core/app.ts";
import { dataUseOf, isLike } from "../../src/edge/primary.ts";

const rules: PrimaryRules = {
  region: "ams",
  readMethods: ["GET", "HEAD"],
  alwaysForward: ["/admin/*", "/callback"],
  passthrough: ["*.js", "/admin/static/*"],
  followS: 10,
  fallback: "none",
};

for (const [method, target, expected] of [
  ["GET", "/", "read"],
  ["HEAD", "/", "read"],
  ["get", "/", "write"],
  ["POST", "/", "write"],
  ["OPTIONS", "*", "write"],
  ["PROPFIND", "/", "write"],
  ["GET", "/admin/", "write"],
  ["GET", "/admin", "read"],
  ["GET", "/callback?code=1", "write"],
  ["GET", "/callback/", "read"],
  ["POST", "/app.js?v=1", "exempt"],
  ["GET", "/?file=app.js", "read"],
  ["POST", "/admin/static/x", "exempt"],
] as const) {
  test(`issue 5 part 8: ${method} ${target} is a ${expected}`, () => assert.equal(dataUseOf(method, target, rules), expected));
}

for (const [pattern, path, expected] of [
  ["/a", "/a", true],
  ["/a", "/ab", false],
  ["*", "", true],
  ["/a/*", "/a/", true],
  ["/a/*", "/a", false],
  ["*.js", "/x.js", true],
  ["*.js", "/x.jsx", false],
  ["/a*a", "/a", false],
  ["/a*a", "/aa", true],
  ["/a*b*c", "/a-b-c", true],
  ["/a*b*c", "/a-c-b", false],
  ["/*b*b", "/b", false],
  ["/*b*b", "/bb", true],
  ["/**x", "/x", true],
  ["/a.c", "/abc", false],
] as const) {
  test(`the pattern ${pattern} ${expected ? "takes" : "does not take"} "${path}"`, () => assert.equal(isLike(path, pattern), expected));
}

test("no path takes long", () => {
  const startedMs = performance.now();
  assert.equal(isLike("/" + "a".repeat(60_000), `/*${"a*".repeat(100)}b`), false);
  assert.equal(isLike("/" + "a".repeat(60_000), `/*${"a*".repeat(100)}aab*a`), false);
  assert.ok(performance.now() - startedMs < 100);
});
