// The JSON form of `fly-replay` (reference 4.3): what is read of a document that a machine answers with, and what is refused.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseReplayDocument } from "../../src/edge/replay-document.ts";
import { parseReplay, type ReplayOrder } from "../../src/edge/replay-order.ts";
import { fuzzParameters } from "../http/seed.ts";

const parse = (text: string): ReplayOrder | null => parseReplayDocument(Buffer.from(text));
const NO_CACHE = { prefix: null, ttlS: null, invalidate: false, allowBypass: false };
const NO_CHANGE = { path: null, deletes: [], sets: [] };

describe("reference 4.3: the same fields as the header has", () => {
  for (const [document, header] of [
    [{ region: "nrt" }, "region=nrt"],
    [{ region: "nrt, ORD" }, 'region="nrt,ord"'],
    [{ region: ["nrt", "ord", "any"] }, 'region="nrt,ord,any"'],
    [{ instance: "m1" }, "instance=m1"],
    [{ prefer_instance: "m1", region: ["nrt"] }, "prefer_instance=m1;region=nrt"],
    [{ app: "other" }, "app=other"],
    [{ app: "other", state: "a, b=c" }, 'app=other;state="a, b=c"'],
    [{ elsewhere: true }, "elsewhere=true"],
    [{ elsewhere: false }, "elsewhere=false"],
    [{ app: "other", timeout: "800ms" }, "app=other;timeout=800ms"],
    [{ app: "other", fallback: "prefer_self" }, "app=other;fallback=prefer_self"],
    [{ app: "other", region: null, instance: null, transform: null, cache: null, allow_bypass: null }, "app=other"],
  ] as const) {
    test(JSON.stringify(document), () => {
      const order = parse(JSON.stringify(document));
      assert.notEqual(order, null);
      assert.deepEqual(order, parseReplay(header));
    });
  }
});

describe("reference 4.3: transform", () => {
  for (const [transform, expected] of [
    [{}, {}],
    [{ path: "/new?x=1&y=%20" }, { path: "/new?x=1&y=%20" }],
    [{ path: "//new/../[1]" }, { path: "//new/../[1]" }],
    [{ path: null }, {}],
    [{ delete_headers: ["Cookie", "x-a"] }, { deletes: ["cookie", "x-a"] }],
    [{ delete_headers: [] }, {}],
    [{ set_headers: [{ name: "X-A", value: "1" }] }, { sets: [["x-a", "1"]] }],
    [{ set_headers: [{ name: "x-a", value: " a\tb " }] }, { sets: [["x-a", "a\tb"]] }],
    [{ set_headers: [{ name: "x-a", value: "" }] }, { sets: [["x-a", ""]] }],
    [{ set_headers: [{ name: "x-a", value: "zoë" }] }, { sets: [["x-a", "zo\u00c3\u00ab"]] }],
    [{ set_headers: [{ name: "x_a", value: '";,' }] }, { sets: [["x_a", '";,']] }],
    [{ set_headers: [{ name: "authorization", value: "Bearer x" }] }, { sets: [["authorization", "Bearer x"]] }],
    [{ path: `/${"x".repeat(8191)}` }, { path: `/${"x".repeat(8191)}` }],
    [{ delete_headers: Array.from({ length: 64 }, (_, i) => `x-${i}`) }, { deletes: Array.from({ length: 64 }, (_, i) => `x-${i}`) }],
  ] as const) {
    test(JSON.stringify(transform).slice(0, 100), () => {
      assert.deepEqual(parse(JSON.stringify({ app: "other", transform }))!.transform, { ...NO_CHANGE, ...expected });
    });
  }
});

describe("reference 4.3: cache", () => {
  for (const [more, expected] of [
    [{}, null],
    [{ allow_bypass: true }, null],
    [{ cache: { prefix: "/a/*", ttl: 60 } }, { prefix: "/a/*", ttlS: 60 }],
    [{ cache: { prefix: "/a/*", ttl: 60, allow_bypass: true } }, { prefix: "/a/*", ttlS: 60, allowBypass: true }],
    [
      { cache: { prefix: "/a/*", ttl: 60 }, allow_bypass: true },
      { prefix: "/a/*", ttlS: 60, allowBypass: true },
    ],
    [
      { cache: { prefix: "/a/*", ttl: 60, allow_bypass: false }, allow_bypass: true },
      { prefix: "/a/*", ttlS: 60 },
    ],
    [{ cache: { invalidate: true } }, { invalidate: true }],
    [{ cache: { prefix: null, ttl: null, invalidate: false } }, {}],
  ] as const) {
    test(JSON.stringify(more), () => {
      const order = parse(JSON.stringify({ app: "other", ...more }))!;
      assert.deepEqual(order.cache, expected === null ? null : { ...NO_CACHE, ...expected });
    });
  }
});

/** Of the connection, of its framing, or what the edge itself says to machines. */
const NOT_TO_BE_CHANGED = [
  ...["host", "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade", "http2-settings"],
  ...["content-length", "transfer-encoding", "expect", "via", "x-request-start", "sec-websocket-key"],
  ...["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "X-Forwarded-For", "x_forwarded_for", "X_Forwarded-FOR"],
  ...["fly-client-ip", "fly-region", "fly-replay-src", "fly-anything", "fly_client_ip", "kittiwake-anything", "kittiwake_busy"],
  ...["client-cert", "client-cert-chain", "x-client-cert-verify", "x_client_cert_subject", "content_length", "transfer_encoding"],
  ...["", " ", "x y", "x:", ":path", ":authority", "x\r\ny", "x\0", "zoë", "x".repeat(129)],
];
const NO_VALUES = ["\r", "\n", "a\r\nx-b: 1", "\0", "a\u007f", "a\u0001", "\u2028\n", "x".repeat(8193)];
const NO_PATHS = [
  "",
  "new",
  "*",
  "http://h/",
  "?x",
  " /",
  "/a b",
  "/a\r\nx: 1",
  "/\0",
  "/#f",
  "/ë",
  "/\u007f",
  "/\t",
  `/${"x".repeat(8192)}`,
];

describe("reference 4.3: malformed", () => {
  for (const [title, document] of [
    ...['"region=nrt"', "null", "1", "[]", "", "{", '{"app":"other"', '{"app":"other"}x', "{app:'other'}"].map(
      (text) => [text, text] as const,
    ),
    ...[
      {},
      { state: "x" },
      { transform: { path: "/x" } },
      { app: "other", color: "red" },
      { app: "other", __proto__x: 1 },
      { app: "" },
      { app: 1 },
      { app: ["other"] },
      { app: "other\r\nx-a: 1" },
      { region: [] },
      { region: "" },
      { region: 1 },
      { region: ["nrt", 1] },
      { region: ["nrt,ord"] },
      { region: [["nrt"]] },
      { region: { 0: "nrt" } },
      { region: Array.from({ length: 65 }, () => "nrt") },
      { instance: "a b" },
      { instance: "a", prefer_instance: "b" },
      { elsewhere: "true" },
      { elsewhere: 1 },
      { app: "other", state: "a;b" },
      { app: "other", state: "a\r\nx-b: 1" },
      { app: "other", state: "a\0" },
      { app: "other", state: 1 },
      { app: "other", timeout: 10 },
      { app: "other", timeout: "10" },
      { app: "other", timeout: "0s" },
      { app: "other", fallback: "self" },
      { app: "other", fallback: true },
      { app: "other", transform: "/x" },
      { app: "other", transform: [] },
      { app: "other", transform: { method: "POST" } },
      { app: "other", transform: { path: 1 } },
      { app: "other", transform: { delete_headers: "cookie" } },
      { app: "other", transform: { delete_headers: [1] } },
      { app: "other", transform: { delete_headers: Array.from({ length: 65 }, () => "x") } },
      { app: "other", transform: { set_headers: { "x-a": "1" } } },
      { app: "other", transform: { set_headers: ["x-a: 1"] } },
      { app: "other", transform: { set_headers: [null] } },
      { app: "other", transform: { set_headers: [{ name: "x-a" }] } },
      { app: "other", transform: { set_headers: [{ value: "1" }] } },
      { app: "other", transform: { set_headers: [{ name: "x-a", value: 1 }] } },
      { app: "other", transform: { set_headers: [{ name: "x-a", value: "1", append: true }] } },
      { app: "other", transform: { set_headers: Array.from({ length: 65 }, () => ({ name: "x", value: "1" })) } },
      { app: "other", cache: true },
      { app: "other", cache: { prefix: 1 } },
      { app: "other", cache: { prefix: "/a\n" } },
      { app: "other", cache: { ttl: "60" } },
      { app: "other", cache: { ttl: -1 } },
      { app: "other", cache: { ttl: 1.5 } },
      { app: "other", cache: { ttl: 1e300 } },
      { app: "other", cache: { invalidate: "true" } },
      { app: "other", cache: { path: "/a" } },
      { app: "other", cache: { prefix: "/a" }, allow_bypass: "yes" },
      { app: "other", allow_bypass: 1 },
    ].map((value) => [JSON.stringify(value), JSON.stringify(value)] as const),
    ["a member that means something to objects", '{"app":"other","__proto__":{}}'],
    ["nested without end", `{"app":${"[".repeat(60_000)}`],
    ...NOT_TO_BE_CHANGED.flatMap((name) => [
      [`set ${JSON.stringify(name)}`, JSON.stringify({ app: "other", transform: { set_headers: [{ name, value: "1" }] } })] as const,
      [`delete ${JSON.stringify(name)}`, JSON.stringify({ app: "other", transform: { delete_headers: [name] } })] as const,
    ]),
    ...NO_VALUES.map(
      (value) =>
        [`value ${JSON.stringify(value)}`, JSON.stringify({ app: "other", transform: { set_headers: [{ name: "x", value }] } })] as const,
    ),
    ...NO_PATHS.map((path) => [`path ${JSON.stringify(path)}`, JSON.stringify({ app: "other", transform: { path } })] as const),
  ] as const) {
    test(title.slice(0, 100), () => assert.equal(parse(document), null));
  }

  test("what is not UTF-8", () => {
    assert.equal(parseReplayDocument(Buffer.from('{"app":"zo\u00eb"}', "latin1")), null);
    assert.equal(parseReplayDocument(Buffer.from('{"app":"x"}', "utf16le")), null);
  });
});

/** Halves of surrogates and control characters too. Cheaper than what fast-check has for it. */
const anyText = fc.array(fc.oneof(fc.nat(0x7f), fc.nat(0xffff)), { maxLength: 8 }).map((codes) => String.fromCharCode(...codes));

test("reference 4.3: whatever a machine says, nothing of it ends a line, and nobody fails", () => {
  const names = [
    "region",
    "instance",
    "app",
    "state",
    "transform",
    "path",
    "set_headers",
    "delete_headers",
    "name",
    "value",
    "cache",
    "prefix",
  ];
  const { tree } = fc.letrec((tie) => ({
    leaf: fc.oneof(fc.constantFrom("nrt", "other", "/x", "x-a", "a\r\nb", "\0"), anyText, fc.boolean(), fc.integer(), fc.constant(null)),
    tree: fc.oneof(
      { depthSize: "small" },
      tie("leaf"),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names), tie("tree"), { maxKeys: 4 }),
    ),
  }));
  const field = fc.record({ name: fc.oneof(fc.constantFrom("x-a", "cookie"), fc.string()), value: anyText });
  const likely = fc.record({
    app: fc.oneof(fc.constant("other"), anyText),
    state: fc.oneof(fc.constant("x"), anyText),
    transform: fc.record(
      {
        path: fc.string().map((text) => `/${text}`),
        set_headers: fc.array(field, { maxLength: 3 }),
        delete_headers: fc.array(fc.string(), { maxLength: 2 }),
      },
      { requiredKeys: [] },
    ),
  });
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(tree, likely), (document) => {
      const order = parse(JSON.stringify(document));
      if (order === null) return;
      accepted++;
      const { app, state, transform } = order;
      const texts = [app, state, ...(transform === null ? [] : [transform.path, ...transform.deletes, ...transform.sets.flat()])];
      for (const text of texts) assert.match(text ?? "", /^[\t\x20-\x7e\x80-\xff]*$/);
    }),
    fuzzParameters(500),
  );
  assert.ok(accepted > 0);
});
