// Which requests a remembered replay is for. Reference sections 4.5 and 4.6.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePathScope, scopePaths } from "../../src/core/path-scope.ts";

const deep = "/x".repeat(16);

for (const [text, host, path] of [
  ["/*", null, ""],
  ["/", null, ""],
  ["/path/*", null, "/path"],
  ["/path", null, "/path"],
  ["/path/", null, "/path"],
  ["/a/b.c/d~e/*", null, "/a/b.c/d~e"],
  ["Hello.Example.com/*", "hello.example.com", ""],
  ["hello.example.com./path/*", "hello.example.com", "/path"],
  ["localhost/", "localhost", ""],
  [`${deep}/*`, null, deep],
] as const) {
  test(`reference 4.5 the scope ${text}`, () => {
    assert.deepEqual(parsePathScope(text), { host, path });
  });
}

for (const text of [
  "",
  "*",
  "path",
  "hello.example.com",
  "hello.example.com:80/*",
  "https://hello.example.com/",
  "*.example.com/",
  "/pa*",
  "/*/path",
  "/path/**",
  "/path?x",
  "/path#x",
  "/pa th",
  "/path/*, /other/*",
  "/a\\b",
  "/a//b",
  "//",
  "/a//*",
  "/a/../b",
  "/a/.",
  "/a%2fb",
  "/%2E%2e/b",
  "/a;b",
  "/é",
  `${deep}/x/*`,
  `/${"x".repeat(512)}`,
  `${"h".repeat(254)}/`,
]) {
  test(`reference 4.5 what is no scope: ${text.slice(0, 40)}`, () => {
    assert.equal(parsePathScope(text), null);
  });
}

for (const [target, paths] of [
  ["/", [""]],
  ["/?a=/b/c", [""]],
  ["/a", ["/a", ""]],
  ["/a/", ["/a", ""]],
  ["/a/b?c", ["/a/b", "/a", ""]],
  ["/a/b/", ["/a/b", "/a", ""]],
  ["/a.b/...", ["/a.b/...", "/a.b", ""]],
  ["*", []],
  ["/a/../b", []],
  ["/a/..", []],
  ["/./a", []],
  ["/a//b", []],
  ["//a", []],
  ["/a/%2E%2E/b", []],
  ["/a%2Fb", []],
  ["/a/..;/b", []],
  ["/a\\..\\b", []],
  [`/a/${"x".repeat(600)}/b`, ["/a", ""]],
] as const) {
  test(`reference 4.5 the scopes of a request for ${target.slice(0, 40)}`, () => {
    assert.deepEqual(scopePaths(target), paths);
  });
}

test("reference 4.5 no request is in more scopes than seventeen, however long its path", () => {
  const paths = scopePaths("/x".repeat(8000));
  assert.equal(paths.length, 17);
  assert.equal(paths[0], deep);
});

const seed = Number(process.env["SEED"] ?? Date.now());

test(`reference 4.5 a request is in the scopes of its path and of all above it, and in no other one (SEED=${seed})`, () => {
  const segment = fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom(..."ab.%2fFeE;\\\\*?#/") });
  const path = fc.array(segment, { maxLength: 5 }).map((segments) => segments.map((text) => `/${text}`).join(""));
  const property = fc.property(path, path, fc.constantFrom("", "/*", "/"), (target, text, end) => {
    const scope = parsePathScope(`${text}${end}` || "/");
    const paths = scopePaths(target || "/");
    for (const one of paths) assert.ok(one === "" || parsePathScope(one)?.path === one || /[*#]/.test(one), one);
    if (scope === null) return;
    const [whole = ""] = target.split("?");
    const isBelow = `${whole}/`.startsWith(`${scope.path}/`);
    assert.equal(paths.includes(scope.path), isBelow && paths.length > 0, `${target} in ${scope.path}`);
  });
  fc.assert(property, { seed, numRuns: 3000 });
});
