// PROXY headers, byte for byte: read and written in both versions, and refused at the first byte that shows that it is none.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Ends } from "../../src/core/ends.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { MAX_PROXY_HEADER_BYTES, readProxyHeader, writeDatagramHeader, writeProxyHeader } from "../../src/http/proxy-header.ts";
import { fuzzParameters } from "./seed.ts";

const V4: Ends = { sourceIp: "192.0.2.1", sourcePort: 56324, destinationIp: "198.51.100.7", destinationPort: 443 };
const V6: Ends = { sourceIp: "2001:db8::1", sourcePort: 1, destinationIp: "::1", destinationPort: 65535 };
const SIGNATURE = "0d0a0d0a000d0a515549540a";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

test("headers are written as the specification has them", () => {
  assert.equal(writeProxyHeader("v1", V4).toString(), "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
  assert.equal(writeProxyHeader("v1", V6).toString(), "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
  assert.equal(writeProxyHeader("v2", V4).toString("hex"), `${SIGNATURE}2111000cc0000201c6336407dc0401bb`);
  assert.equal(writeDatagramHeader(V4).toString("hex"), `${SIGNATURE}2112000cc0000201c6336407dc0401bb`);
  const v6 = "20010db8000000000000000000000001 00000000000000000000000000000001 0001ffff".replaceAll(" ", "");
  assert.equal(writeProxyHeader("v2", V6).toString("hex"), `${SIGNATURE}21210024${v6}`);
});

test("where one end is IPv4 and the other IPv6, both are written as IPv6", () => {
  const mixed = { ...V4, destinationIp: "fe80::1%eth0" };
  assert.equal(writeProxyHeader("v1", mixed).toString(), "PROXY TCP6 ::ffff:192.0.2.1 fe80::1 56324 443\r\n");
  const { ends } = readProxyHeader(writeProxyHeader("v2", mixed))!;
  assert.deepEqual(ends, { ...V4, destinationIp: "fe80::1" });
});

test("what is written is read again, wherever it is cut, and what follows is left alone", () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  const addresses = (ip: fc.Arbitrary<string>): fc.Arbitrary<Ends> =>
    fc.record({ sourceIp: ip, sourcePort: port, destinationIp: ip, destinationPort: port });
  const property = fc.property(
    fc.oneof(addresses(fc.ipV4()), addresses(fc.ipV6())),
    fc.constantFrom("v1" as const, "v2" as const),
    fc.uint8Array({ maxLength: 20 }),
    (ends, version, rest) => {
      const header = writeProxyHeader(version, ends);
      for (let length = 0; length < header.length; length++) assert.equal(readProxyHeader(header.subarray(0, length)), null);
      const read = readProxyHeader(Buffer.concat([header, rest]))!;
      assert.equal(read.length, header.length);
      // An address has many spellings; written again it is the same.
      assert.deepEqual(writeProxyHeader("v2", read.ends!), writeProxyHeader("v2", readProxyHeader(writeProxyHeader("v2", ends))!.ends!));
      assert.deepEqual([read.ends!.sourcePort, read.ends!.destinationPort], [ends.sourcePort, ends.destinationPort]);
    },
  );
  fc.assert(property, fuzzParameters(1000));
});

test("a proxy's own connection, and one of an unknown client, say nothing about addresses", () => {
  for (const [bytes, length] of [
    [Buffer.from("PROXY UNKNOWN\r\nGET"), 15],
    [Buffer.from("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), 35],
    [hex(`${SIGNATURE} 20 00 0000`), 16],
    [hex(`${SIGNATURE} 20 11 000c c0000201c6336407dc0401bb`), 28],
    [hex(`${SIGNATURE} 20 77 0003 aabbcc 47`), 19],
    [hex(`${SIGNATURE} 21 00 0002 aabb`), 18],
    [hex(`${SIGNATURE} 21 31 00d8 ${"61".repeat(216)}`), 232],
  ] as const) {
    assert.deepEqual(readProxyHeader(bytes), { ends: null, length }, bytes.toString("latin1"));
  }
});

test("extensions of version 2 are skipped", () => {
  const header = hex(`${SIGNATURE} 21 11 0013 c0000201c6336407dc0401bb 04 0004 00000000`);
  assert.deepEqual(readProxyHeader(header), { ends: V4, length: header.length });
  assert.equal(readProxyHeader(header.subarray(0, -1)), null);
});

test("what is no header, or a malformed one, is refused", () => {
  for (const bytes of [
    "GET / HTTP/1.1\r\n",
    "P ",
    "proxy TCP4",
    "\r\n\r\nX",
    "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
    "PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
    "PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n",
    "PROXY TCP4 192.0.2.01 198.51.100.7 56324 443\r\n",
    "PROXY TCP4 2001:db8::1 ::1 56324 443\r\n",
    "PROXY TCP6 192.0.2.1 198.51.100.7 56324 443\r\n",
    "PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.7 056324 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.7 + 443\r\n",
    "PROXY UDP4 192.0.2.1 198.51.100.7 1 443\r\n",
    "PROXY UNKNOWNX\r\n",
    "PROXY \r\n",
    `PROXY UNKNOWN ${"x".repeat(94)}\r\n`,
    "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n".padEnd(107, "x"),
    hex(`${SIGNATURE} 11 11 000c`),
    hex(`${SIGNATURE} 22 11 000c`),
    hex(`${SIGNATURE} 21 12 000c c0000201c6336407dc0401bb`),
    hex(`${SIGNATURE} 21 13 000c c0000201c6336407dc0401bb`),
    hex(`${SIGNATURE} 21 11 000b c0000201c6336407dc0401`),
    hex(`${SIGNATURE} 21 21 0023`),
    hex(`${SIGNATURE} 21 11 1000`),
    hex(`${SIGNATURE} 20 00 ffff`),
  ]) {
    const refused = (error: unknown): boolean => error instanceof ProxyError && error.code === "bad_proxy_header";
    assert.throws(() => readProxyHeader(Buffer.from(bytes)), refused, bytes.toString("latin1"));
  }
});

test("no bytes make it fail in another way, or wait for more than the longest header", () => {
  const start = fc.constantFrom("", "PROXY ", "PROXY TCP4 ", "\r\n\r\n\0\r\nQUIT\n", "\r\n\r\n\0\r\nQUIT\n\x21\x11");
  const property = fc.property(start, fc.uint8Array({ maxLength: 5000, size: "max" }), (begin, noise) => {
    const bytes = Buffer.concat([Buffer.from(begin, "latin1"), noise]);
    try {
      const header = readProxyHeader(bytes);
      if (header === null) assert.ok(bytes.length < MAX_PROXY_HEADER_BYTES);
      else assert.ok(header.length <= bytes.length);
    } catch (error) {
      assert.ok(error instanceof ProxyError && error.code === "bad_proxy_header", String(error));
    }
  });
  fc.assert(property, fuzzParameters(2000));
});
