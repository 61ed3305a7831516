// The services of a fly.toml: [http_service], [[services]], their ports, checks and limits. Reference sections 1.3 to 1.7, 2.6.

import { z } from "zod";

import { formatValue } from "./problems.ts";
import { duration, hostname, pathScope, port, portOrDigits, regionCode } from "./scalars.ts";

export const KILL_SIGNALS = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP"] as const;

/** What Fly's client turns into a string: any scalar. */
export const scalarText = z
  .union([z.string(), z.number(), z.boolean()])
  .transform(String)
  .refine((text) => !text.includes("\0"), { error: "expected text without NUL characters" })
  .meta({ kind: "a string, number or boolean" });

export const groupNames = z.array(z.string().min(1).meta({ kind: "a process group's name" }));

export const commandWords = z
  .union([z.string(), z.array(z.string())])
  .transform((words) => (typeof words === "string" ? [words] : words))
  .meta({ kind: "a string or a list of strings" });

const checkDuration = () => duration({ bare: "ms" });

export const checkTiming = {
  interval: checkDuration().prefault("15s").describe("Time between two probes; a bare number is milliseconds. Kept within 1s and 60s."),
  timeout: checkDuration().prefault("2s").describe("How long a probe may take; a bare number is milliseconds. Kept within 1s and 60s."),
  grace_period: checkDuration()
    .prefault("1s")
    .describe("Time from the machine's start to the first probe; a bare number is milliseconds. 0, or kept within 1s and 60s."),
};

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/)
  .meta({ kind: "a header name" });
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const headerValue = z
  .union([z.string(), z.number(), z.boolean()])
  .transform((value, context) => {
    const text = String(value);
    if (HEADER_VALUE.test(text)) return text;
    context.addIssue({ code: "custom", message: `expected a header value, got ${formatValue(text)}` });
    return z.NEVER;
  })
  .meta({ kind: "a header value" });
const headerText = z.string().regex(HEADER_VALUE).meta({ kind: "a header value" });
const responseHeaderValue = z
  .union([z.literal(false), headerText, z.array(headerText)])
  .meta({ kind: "false, a header value or a list of header values" });

export const httpProbe = {
  method: z
    .string()
    .regex(/^[A-Za-z]{1,20}$/)
    .default("GET")
    .transform((method) => method.toUpperCase())
    .meta({ description: "Method of the probe.", kind: "an HTTP method" }),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/)
    .default("/")
    .meta({ description: "Path of the probe.", kind: 'a path that starts with "/"' }),
  protocol: z.enum(["http", "https"]).default("http").describe("Whether the machine speaks TLS on this port."),
  tls_skip_verify: z.boolean().default(false).describe("Do not verify the machine's certificate."),
  tls_server_name: hostname().optional().describe("Server name for TLS."),
  headers: z
    .record(headerName, headerValue)
    .default({})
    .meta({ description: "Headers of the probe: a table, or a list of `{ name, value }`.", kind: "a table of headers" }),
};

const restartLimit = z.unknown().optional().meta({ description: "An old key; checks never restart a machine.", deprecated: true });

const tcpCheck = z.object({ ...checkTiming, restart_limit: restartLimit });
const httpCheck = z.object({ ...checkTiming, ...httpProbe, restart_limit: restartLimit });

export const machineCheck = z.object({
  command: commandWords.meta({ description: "Command of the check machine.", standIn: ["true"] }),
  image: z.string().optional().describe("Image of the check machine; the tested machine's by default."),
  entrypoint: commandWords.optional().describe("Entrypoint of the check machine."),
  kill_signal: z.enum(KILL_SIGNALS).optional().describe("Signal that asks the check machine to end."),
  kill_timeout: duration({ bare: "s" }).optional().describe("How long it may take to end; a bare number is seconds."),
});

const tlsOptions = z
  .object({
    alpn: z
      .array(
        z
          .string()
          .regex(/^[\x21-\x7e]{1,255}$/)
          .meta({ kind: "a protocol name of at most 255 visible ASCII characters" }),
      )
      .min(1)
      .optional()
      .meta({ description: "Protocols to offer, in this order.", fallback: '`["h2", "http/1.1"]`, without `http` none' }),
    versions: z
      .array(z.enum(["TLSv1.2", "TLSv1.3"]))
      .min(1)
      .optional()
      .meta({ description: "TLS versions to accept.", fallback: "both" }),
    default_self_signed: z.boolean().default(false).describe("Answer unknown names with a self-signed certificate."),
  })
  .optional()
  .describe("TLS at the edge.");

const seconds = z.int().min(0).max(4_294_967_295).optional();

const replayCache = z.object({
  path_prefix: pathScope().describe(
    "Path, or host and path, that the rule is for, with all below it. The longest path counts, and of two alike that with a host.",
  ),
  ttl_seconds: z.int().min(10).max(31_536_000).meta({ description: "Seconds for which a replay is remembered.", standIn: 10 }),
  type: z.enum(["cookie", "header"]).meta({ description: "What tells sessions apart.", standIn: "cookie" }),
  name: headerName.meta({ description: "Name of the cookie or header.", kind: "the name of a cookie or header", standIn: "session" }),
  allow_bypass: z.boolean().default(false).describe("Whether a request with `fly-replay-cache-control: skip` is asked about anew."),
});

const httpOptions = z
  .object({
    compress: z
      .boolean()
      .default(false)
      .describe("Compress responses at the edge with zstd, br or gzip; the app opts one out with `Content-Encoding: none`."),
    h2_backend: z.boolean().default(false).meta({ description: "Speak HTTP/2 without TLS to the machine, with prior knowledge (h2c)." }),
    idle_timeout: seconds.meta({
      description:
        "Seconds in which nothing may pass between the edge and the machine for a request, a response or a tunnel; 0 is for ever.",
      fallback: "0",
    }),
    headers_read_timeout: seconds.meta({
      description:
        "Seconds a request's head may take, the first one's TLS handshake included. Without TLS the longest of all apps on the port counts, because the head is what names the app.",
      fallback: "`request_head` of the node",
    }),
    response: z
      .object({
        headers: z
          .record(headerName, responseHeaderValue)
          .default({})
          .meta({ description: "Response headers to set, or with `false` to remove.", kind: "a table of headers" }),
        pristine: z
          .boolean()
          .default(false)
          .describe("Leave `Server`, `Via`, `Fly-Request-Id` and `Fly-Cache-Status` of the app's responses as they are."),
      })
      .optional()
      .describe("Changes to responses of the app; what the edge answers by itself stays as it is."),
    replay_cache: z.array(replayCache).default([]).describe("Replays that the edge remembers, by session."),
  })
  .optional()
  .describe("What the http handler does.");

const concurrency = z
  .object({
    type: z
      .enum(["connections", "requests"])
      .default("connections")
      .describe("What is counted; `requests` pools connections to the machine."),
    soft_limit: z.int().min(0).optional().meta({
      description: "At or above it a machine is busy: others are preferred, more are woken. 0 is the default.",
      fallback: "20, at most hard_limit",
    }),
    hard_limit: z
      .int()
      .min(0)
      .optional()
      .meta({ description: "At or above it a machine gets nothing new. 0 is no limit.", fallback: "no limit" }),
  })
  .prefault({})
  .meta({
    description: 'Load a machine can take, per service; `"20,25"` is short for soft and hard limit of requests.',
    kind: 'a table or "soft,hard"',
  });

const serviceKeys = {
  internal_port: portOrDigits().prefault(8080).describe("Port that the app listens on."),
  processes: groupNames.default([]).meta({ description: "Process groups that the service is for.", fallback: "the default group" }),
  auto_stop_machines: z
    .union([z.enum(["off", "stop", "suspend"]), z.boolean()])
    .default("off")
    .transform((value) => (typeof value === "boolean" ? (value ? "stop" : "off") : value))
    .meta({
      description: "What to do with machines without load; true is `stop`, false is `off`.",
      kind: '"off", "stop", "suspend", true or false',
    }),
  auto_start_machines: z.boolean().default(true).describe("Whether a request may wake a machine."),
  min_machines_running: z.int().min(0).default(0).describe("Machines in the primary region that are never stopped for lack of load."),
  regions: z.array(regionCode()).min(1).optional().meta({
    description: "Regions to place machines in, one each time a region is named.",
    kind: "a list of regions",
    fallback: "primary_region",
  }),
  concurrency,
  machine_checks: z.array(machineCheck).default([]).meta({ description: "Commands that test a new machine in a deploy.", pending: true }),
};

export const httpService = z.object({
  ...serviceKeys,
  force_https: z.boolean().default(false).describe("Answer plain HTTP with 301 to HTTPS."),
  checks: z.array(httpCheck).default([]).describe("HTTP checks; a machine that fails one gets no traffic."),
  tls_options: tlsOptions,
  http_options: httpOptions,
});

const portExtension = z
  .strictObject({
    tls_passthrough: z
      .boolean()
      .default(false)
      .describe("Pass TLS on to the machine as it is, by the name in its first message; for a port without TLS handlers."),
    idle_timeout: duration()
      .prefault("0s")
      .describe(
        "How long a connection without the `http` handler may be silent; 0 is for ever, dead clients being found by keep-alive. Of UDP: how long a session lives, 0 is the node's `udp_idle`.",
      ),
    udp_proxy_header: z
      .boolean()
      .default(false)
      .describe(
        "Put a PROXY header, version 2, in front of every datagram to the machine, which says where the client is. Replies have none.",
      ),
  })
  .prefault({})
  .describe("What only Kittiwake has.");

const servicePort = z.object({
  port: portOrDigits().optional().describe("Public port."),
  start_port: port().optional().meta({ description: "First port of a range of at most 1000.", fallback: "1" }),
  end_port: port().optional().meta({ description: "Last port of a range.", fallback: "65535" }),
  handlers: z
    .array(z.enum(["http", "tls", "pg_tls", "proxy_proto", "edge_http"]))
    .default([])
    .describe("What the edge does with a connection; none is raw TCP. `edge_http` is an old name of `http`."),
  force_https: z.boolean().default(false).describe("Answer plain HTTP with 301 to HTTPS; needs the http handler."),
  tls_options: tlsOptions,
  http_options: httpOptions,
  proxy_proto_options: z
    .object({ version: z.enum(["v1", "v2"]).default("v1").describe("Version of the PROXY protocol.") })
    .optional()
    .describe("PROXY protocol to the machine, for the `proxy_proto` handler."),
  kittiwake: portExtension,
});

export const service = z.object({
  protocol: z.enum(["tcp", "udp"]).meta({ description: "Transport protocol.", standIn: "tcp" }),
  ...serviceKeys,
  ports: z.array(servicePort).default([]).describe("Public ports."),
  tcp_checks: z.array(tcpCheck).default([]).describe("TCP checks; a machine that fails one gets no traffic."),
  http_checks: z.array(httpCheck).default([]).describe("HTTP checks; a machine that fails one gets no traffic."),
  script_checks: z.unknown().optional().meta({ description: "An old key without effect.", deprecated: true }),
});
