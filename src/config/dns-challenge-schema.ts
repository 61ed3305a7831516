// [tls.acme.dns] and [tls.acme.rfc2136]: the two ways to answer DNS-01. Part of node-schema.ts.

import { z } from "zod";

import { address, duration, hostname, path } from "./scalars.ts";

const ip = z.union([z.ipv4(), z.ipv6()]).meta({ kind: "an IP address" });

/** Our own zone, answered by every node. */
export const ownZone = z
  .strictObject({
    zone: hostname().meta({
      description:
        "Zone of our own, which its parent delegates to these nodes. `_acme-challenge.<name>` must be a CNAME record into it: `kittiwake certs dns` prints it.",
      standIn: "acme.example.net",
    }),
    name_servers: z.record(hostname(), z.array(ip)).meta({
      description:
        'Names of the zone\'s servers, as in its parent, with their addresses where the names are in the zone: `{ "ns1.acme.example.net" = ["192.0.2.1"] }`.',
      kind: "a table of names with lists of addresses",
      standIn: { "ns.example.com": [] },
    }),
    listen: z
      .array(address())
      .min(1)
      .prefault(["0.0.0.0:53", "[::]:53"])
      .describe(
        "IP addresses and ports to answer DNS on, by UDP and TCP. Name each public address on a host that has several (an answer must leave from the one that was asked), or whose own resolver has port 53.",
      ),
    resolvers: z
      .array(address())
      .default([])
      .meta({ description: "Recursive resolvers that CNAME records are looked up with before an order.", fallback: "those of the system" }),
  })
  .optional()
  .meta({ description: "DNS-01 by delegation to a zone that Kittiwake answers for." });

/** A zone that somebody else's server has. */
export const dynamicUpdates = z
  .strictObject({
    server: address().meta({ description: "Primary DNS server that takes dynamic updates.", standIn: "127.0.0.1:53" }),
    key: z
      .string()
      .regex(/^(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/)
      .meta({ description: "Name of the TSIG key.", kind: "the name of a key", standIn: "key" }),
    algorithm: z.enum(["hmac-sha256", "hmac-sha384", "hmac-sha512"]).default("hmac-sha256").describe("Algorithm of the TSIG key."),
    secret_file: path().meta({ description: "File with the secret of the key in Base64, relative to this file.", standIn: "tsig.secret" }),
    zone: hostname().optional().meta({
      description: "Zone that is updated; names outside of it are answered by `[tls.acme.dns]`.",
      fallback: "what the server says",
    }),
    ttl: duration({ maxMs: 86_400_000 })
      .prefault("0s")
      .describe(
        "How long resolvers may remember a record; for so long the validation of a name fails after that of its wildcard, and the other way round.",
      ),
    name_servers: z.array(address()).default([]).meta({
      description: "Servers that must show a record before the authority looks for it.",
      fallback: "those of the zone's NS records",
    }),
    propagation: duration({ minMs: 1000, maxMs: 3_600_000 }).prefault("60s").describe("How long they may take to show it."),
  })
  .optional()
  .meta({ description: "DNS-01 by dynamic updates of another DNS server (RFC 2136), signed with TSIG (RFC 8945)." });
