// kittiwake.toml: every key with its type, its default and one sentence. docs/config.md is made from this.

import { z } from "zod";

import { acme } from "./acme-schema.ts";
import { defineDocument } from "./key-schema.ts";
import { address, addressBlock, duration, hostname, name, path, PORT_DIGITS, regionCode } from "./scalars.ts";

const boundPort = z.int().min(0).max(65_535);

const edge = z
  .strictObject({
    bind: z
      .array(z.union([z.ipv4(), z.ipv6()]).meta({ kind: 'an IP address such as "127.0.0.1" or "::1"' }))
      .min(1)
      .default(["0.0.0.0", "::"])
      .describe("Addresses to take public traffic on; the default is all. An IPv6 address takes IPv6 alone."),
    ports: z
      .record(z.string().regex(PORT_DIGITS).meta({ kind: "a port from 1 to 65535" }), boundPort)
      .default({})
      .meta({
        description: "Public port to the port bound here, such as `{ 80 = 8080, 443 = 8443 }`; 0 binds any free port.",
        kind: "a table of ports",
        fallback: "the same ports",
      }),
    proxy_protocol_from: z
      .array(addressBlock())
      .default([])
      .describe(
        "Proxies in front: every TCP connection from these addresses must begin with a PROXY header, version 1 or 2; from others none is read.",
      ),
    trusted_proxies: z
      .array(addressBlock())
      .default([])
      .describe(
        "Proxies in front that speak HTTP and whose word is taken: the client of a request from these addresses is the last in `x-forwarded-for` that is not one of them, and came by `x-forwarded-proto`. From others neither is believed.",
      ),
  })
  .prefault({})
  .describe("Where public traffic comes in.");

const tls = z
  .strictObject({
    issuer: z
      .enum(["internal", "acme"])
      .default("internal")
      .describe(
        "Who issues certificates: a local authority in data_dir, or an ACME authority; names that one cannot vouch for, such as `localhost`, have local ones all the same.",
      ),
    acme,
  })
  .prefault({})
  .describe("Certificates.");

const admin = z
  .strictObject({
    listen: address()
      .prefault("127.0.0.1:4280")
      .describe("Address of the admin API and of metrics; anything but loopback needs a token. Port 0 takes any free port."),
    token: z
      .string()
      .regex(/^[\x21-\x7e]{16,}$/)
      .optional()
      .meta({
        description: "Token that the admin API asks for.",
        kind: "a token of at least 16 visible ASCII characters",
        fallback: "none",
      }),
    token_file: path().optional().describe("File with the token, relative to this file; instead of token."),
  })
  .prefault({})
  .describe("The admin API: machines, metrics, health of the node itself.");

const state = z
  .strictObject({
    engine: z
      .enum(["sqlite", "nats"])
      .default("sqlite")
      .meta({ description: "Where state is kept: embedded in data_dir, or in NATS JetStream for a fleet.", pending: ["nats"] }),
    path: path().optional().meta({
      description:
        "File of the embedded store, relative to this file. Nodes of one machine may share it, each with a `node` name and a `data_dir` of its own, and one `KITTIWAKE_SECRET`.",
      fallback: "state.db in data_dir",
    }),
    servers: z
      .array(z.url({ protocol: /^(nats|tls|wss?)$/ }).meta({ kind: 'a URL such as "nats://10.0.0.1:4222"' }))
      .min(1)
      .optional()
      .meta({ description: 'NATS servers, for `engine = "nats"`.', pending: true }),
  })
  .prefault({})
  .describe("The state store.");

const regions = z
  .strictObject({
    table: path().optional().meta({
      description: "File with codes, coordinates and measured round trips, relative to this file.",
      fallback: "the built-in table",
    }),
  })
  .prefault({})
  .describe("Regions beyond the built-in table.");

const log = z
  .strictObject({
    level: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info").describe("Least level that is logged."),
    file: path().optional().meta({ description: "Log file, relative to this file.", fallback: "stderr" }),
    access: path().default("log").meta({
      description: "Where the access log goes: the same place as the log, nowhere, a stream, or a file of its own.",
      kind: '"log", "off", "stderr", "stdout" or a path',
    }),
  })
  .prefault({})
  .describe("Logs.");

const positive = { minMs: 1 };

const timeouts = z
  .strictObject({
    tls_handshake: duration(positive).prefault("10s").describe("From accepting a connection to the end of its TLS handshake."),
    request_head: duration(positive)
      .prefault("10s")
      .describe(
        "From the first byte of a request to the end of its head; for the first of a connection from when that was accepted, TLS included.",
      ),
    keep_alive_idle: duration(positive).prefault("75s").describe("How long a client's connection may be idle between requests."),
    client_idle: duration(positive)
      .prefault("60s")
      .describe(
        "Longest silence of a client in the middle of a body, sent or read; for one that does not keep `client_bytes_per_second` it gets shorter each time.",
      ),
    upstream_connect: duration(positive).prefault("5s").describe("How long a machine may take to accept a connection."),
    upstream_head: duration().prefault("60s").describe("How long a machine may take to begin its response; 0 waits for ever."),
    upstream_silence: duration()
      .prefault("5m")
      .describe(
        "Longest silence of a machine in the middle of a response, long enough for events that come now and then; 0 waits for ever. `idle_timeout` of a service's `http_options` takes its place, and that of `upstream_head` and `tunnel_idle`.",
      ),
    upstream_idle: duration(positive).prefault("4s").describe("How long an idle connection to a machine is kept for reuse."),
    udp_idle: duration(positive).prefault("60s").describe("How long a UDP client's session lives without a datagram either way."),
    tunnel_idle: duration()
      .prefault("0s")
      .describe("How long nothing may pass through a WebSocket or another tunnel; 0 is for ever, dead peers being found by keep-alive."),
    total: duration()
      .prefault("0s")
      .describe("How long a request may take from its head to the end of its response, or to the opening of a tunnel; 0 is for ever."),
    drain: duration().prefault("30s").describe("How long requests under way may go on when the node stops."),
  })
  .prefault({})
  .describe("How long the data plane waits.");

const limits = z
  .strictObject({
    head_bytes: z.int().min(1_024).max(1_048_576).default(32_768).describe("Most bytes of a request's or response's head."),
    target_bytes: z.int().min(256).max(1_048_576).default(16_384).describe("Most bytes of a request target."),
    headers: z.int().min(16).max(2_000).default(100).describe("Most header fields of a request or response."),
    trailer_bytes: z.int().min(0).max(1_048_576).default(8_192).describe("Most bytes of the trailers behind a body; 0 allows none."),
    trailers: z.int().min(1).max(1_000).default(32).describe("Most trailers behind a body."),
    chunk_extension_bytes: z
      .int()
      .min(0)
      .max(1_048_576)
      .default(4_096)
      .describe("Most bytes of chunk extensions in a body; they go no further."),
    underscores: z
      .enum(["pass", "drop", "refuse"])
      .default("drop")
      .describe("What becomes of a request's header fields with `_` in their names, which many apps cannot tell from `-`."),
    held_body_bytes: z
      .int()
      .min(0)
      .max(1_048_576)
      .default(16_384)
      .describe(
        "Longest body that is taken whole before a machine is looked for, so that a slow client occupies none and a failed attempt can be made again. One without a length, or whose client waits for a 100, goes on as it comes.",
      ),
    retry_body_bytes: z
      .int()
      .min(0)
      .max(1_073_741_824)
      .default(10_485_760)
      .describe(
        "Longest body that is kept while it goes on as it comes, so that a request that may be made twice can be sent again; 0 keeps none.",
      ),
    replay_body_bytes: z
      .int()
      .min(0)
      .max(1_073_741_824)
      .default(1_048_576)
      .describe("The same of every other request, for a machine that hands it on to another one; 0 keeps none."),
    kept_bodies_bytes: z
      .int()
      .min(0)
      .max(17_179_869_184)
      .default(67_108_864)
      .describe("Most bytes of such bodies that a worker keeps at once; those beyond are not sent again."),
    streams: z.int().min(1).max(1_000).default(128).describe("Most requests at once on one HTTP/2 connection."),
    client_bytes_per_second: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(100)
      .describe(
        "What a client must send on average before its response begins, and read of it; who moves less uses up `client_idle`. 0 asks for nothing.",
      ),
    waiting_per_app: z.int().min(0).max(1_000_000).default(10_000).describe("Most requests of an app that wait for a machine at once."),
    udp_sessions: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .describe("Most sessions of UDP clients at once, for each port, address and worker; each is a socket."),
    connections_per_address: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(0)
      .describe(
        "Most TCP connections of each client's address at once, over all workers: of IPv6 each network of 64 bits. One more is closed; 0 is any number, and so have `trusted_proxies`.",
      ),
    attempts: z.int().min(1).max(1_000).default(40).describe("Most attempts to reach a machine for one request."),
    compressors: z
      .int()
      .min(0)
      .max(100_000)
      .default(128)
      .describe("Most responses that a worker compresses at once, at up to a megabyte of memory each; beyond it they leave as they are."),
    replay_cache_entries: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(10_000)
      .describe(
        "Most replays that a worker remembers by path, and as many by session, at a kilobyte of memory each on average; the one that was not needed longest gives way. 0 remembers none.",
      ),
  })
  .prefault({})
  .describe("What and how much the data plane takes.");

const schema = z.strictObject({
  node: name().optional().meta({ description: "Name of this node.", fallback: "the host name" }),
  region: regionCode().meta({ description: "Region that this node is in.", standIn: "ams" }),
  data_dir: path().default("data").describe("Directory of the embedded store and of keys, relative to this file."),
  workers: z.int().min(1).max(256).optional().meta({ description: "Threads that carry traffic.", fallback: "one per core" }),
  domain: hostname().prefault("localhost").describe("An app is also reachable as `<app>.<domain>`."),
  apps: z.array(path()).default(["apps/*.toml"]).describe("The apps' fly.toml files, relative to this file; globs."),
  edge,
  tls,
  admin,
  state,
  regions,
  log,
  timeouts,
  limits,
});

export type NodeDocument = z.output<typeof schema>;

export const NODE_DOCUMENT = defineDocument<NodeDocument>(schema);
