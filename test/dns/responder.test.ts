// Any bytes at all: an answer, or none, and never more than there may be.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Responder } from "../../src/dns/responder.ts";
import { Zone } from "../../src/dns/zone.ts";
import { fuzzParameters } from "../http/seed.ts";
import { queryOf } from "./client.ts";
import { LABEL, ZONE } from "./running-server.ts";

const NAMES = [`${LABEL}.${ZONE}`, ZONE, `ns1.${ZONE}`, `x.${ZONE}`, "example.com", "."];
const responder = new Responder({
  zone: new Zone({ name: ZONE, nameServers: { [`ns1.${ZONE}`]: ["192.0.2.1"] } }),
  lookup: () => ["a value", "another"],
  lookupMs: 1000,
});

/** Queries with some bytes changed, cut short or made longer. */
const damaged = fc
  .record({
    name: fc.constantFrom(...NAMES),
    type: fc.constantFrom("TXT", "A", "NS", "SOA", "AXFR", "HINFO"),
    edns: fc.option(fc.nat(65_535), { nil: undefined }),
    changes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    cut: fc.nat(20),
    more: fc.uint8Array({ maxLength: 4 }),
  })
  .map(({ name, type, edns, changes, cut, more }) => {
    const message = queryOf(name, { type: type as "TXT", ...(edns === undefined ? {} : { edns }) });
    for (const [at, byte] of changes) message[at % message.length] = byte;
    return Buffer.concat([message.subarray(0, message.length - (cut > 10 ? cut - 10 : 0)), more]);
  });
const anything = fc.oneof(
  damaged,
  fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
);

describe("a responder", () => {
  test("answers any message, or leaves it, and the answer is one to that message", async () => {
    await fc.assert(
      fc.asyncProperty(anything, fc.constantFrom("udp" as const, "tcp" as const), async (message, transport) => {
        const { bytes } = await responder.respond(message, transport);
        if (bytes === null) return;
        assert.equal(bytes.readUInt16BE(0), message.readUInt16BE(0));
        assert.notEqual(bytes.readUInt16BE(2) & 0x8000, 0);
        assert.ok(bytes.length <= (transport === "udp" ? 1232 : 65_535));
      }),
      fuzzParameters(3000),
    );
  });

  test("defers any message with no more bytes than that has", async () => {
    await fc.assert(
      fc.property(anything, (message) => {
        const { bytes } = responder.deferral(message);
        if (bytes !== null) assert.ok(bytes.length <= message.length);
      }),
      fuzzParameters(3000),
    );
  });
});
