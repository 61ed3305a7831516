// Host and port as clients name them.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";
import { parseAuthority } from "../../src/http/authority.ts";
import { fuzzParameters } from "./seed.ts";

test("a host is brought into one form", () => {
  assert.deepEqual(parseAuthority("Example.COM."), { host: "example.com", port: null });
  assert.deepEqual(parseAuthority("a_b.c~d-e:0"), { host: "a_b.c~d-e", port: 0 });
  assert.deepEqual(parseAuthority("[::FFFF:1.2.3.4]:65535"), { host: "[::ffff:1.2.3.4]", port: 65535 });
  assert.deepEqual(parseAuthority("a:00080"), { host: "a", port: 80 });
  assert.deepEqual(parseAuthority("a:"), { host: "a", port: null });
});

test("letters of other alphabets are no host", () => {
  for (const text of ["é", "\u212a", "ａ", "a\u0130", "b\u200d", "\ud83d\ude00", "a:\u0661"])
    assert.equal(parseAuthority(text), null, text);
});

test("whatever is accepted is in one form, and is what the URL standard reads", () => {
  const name = fc.string({ unit: fc.constantFrom(..."aB9-._~:[]@/%* \t\0é".split("")), maxLength: 12 });
  const likely = fc.tuple(fc.domain(), fc.constantFrom("", ".", ":", ":80", ":65535", ":65536", ":-1")).map(([host, port]) => host + port);
  const address = fc.tuple(fc.ipV6(), fc.constantFrom("", ":80", "x", "]")).map(([host, port]) => `[${host}]${port}`);
  fc.assert(
    fc.property(fc.oneof(name, likely, address), (text) => {
      const parsed = parseAuthority(text);
      if (parsed === null) return;
      assert.match(parsed.host, /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])$/);
      assert.deepEqual(parseAuthority(parsed.host), { host: parsed.host, port: null }, "reading it again changes nothing");
      const url = URL.parse(`http://${text}/`);
      // The standard knows names that end in a number only as IPv4 addresses; such a name is nobody's, and nothing is routed to it.
      if (url === null) return;
      assert.equal(url.port, parsed.port === null || parsed.port === 80 ? "" : String(parsed.port));
      if (/[a-z~_-]$/.test(parsed.host)) assert.equal(url.hostname.replace(/\.$/, ""), parsed.host);
    }),
    fuzzParameters(3000),
  );
});
