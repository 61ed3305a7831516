// Which requests a remembered replay is for. Reference sections 4.5 and 4.6.

import assert from "node:assert/strict";
import { test } from "node:test";
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

test("reference 4.5 every scope of a request but the first is above the one before it", () => {
  const paths = scopePaths("/aa/b/ccc/d");
  for (const [index, path] of paths.slice(1).entries()) assert.ok(paths[index]!.startsWith(`${path}/`));
});
