// fly.toml: every key that Fly documents and what Kittiwake adds under [kittiwake], with type, default and one sentence each. What
// Fly ignores is a warning here, what [kittiwake] does not know is an error. Aliases are resolved before (fly-aliases.ts), meaning is
// given after (fly-app.ts).

import { z } from "zod";

import { access } from "./access.ts";
import { primary, stickyKeys } from "./affinity.ts";
import { pendingSections, topLevelChecks } from "./fly-section-schema.ts";
import { groupNames, httpService, KILL_SIGNALS, scalarText, service } from "./fly-service-schema.ts";
import { defineDocument } from "./key-schema.ts";
import { wakeGuard } from "./wake-guard.ts";
import { address, byteSize, duration, hostnamePattern, name, path, regionCode } from "./scalars.ts";

/** Ten years: nobody means more. */
const MAX_HSTS_S = 315_360_000;

/** A DNS label: the app is reachable under it. */
const appName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
  .meta({ kind: "a name of at most 63 lower-case letters, digits and inner dashes" });

const restart = z.object({
  policy: z.enum(["always", "never", "on-failure"]).default("on-failure").describe("When a machine that ended is started again."),
  retries: z.int().min(0).default(10).describe("How often within five minutes before it counts as failed."),
  processes: groupNames.default([]).meta({ description: "Process groups it is for.", fallback: "the default group" }),
});

const placedMachine = z.strictObject({
  id: name().optional().meta({ description: "Id of the machine.", fallback: "made from node, app, group and region" }),
  region: regionCode().optional().meta({ description: "Region it is in.", fallback: "primary_region" }),
  address: address().optional().meta({ description: 'Where it is, for driver "static".', fallback: "none" }),
  group: z.string().min(1).optional().meta({ description: "Process group it is of.", fallback: "the default group" }),
});

const clientTls = z
  .strictObject({
    client_ca: path().optional().meta({
      description:
        "PEM file, relative to this one, of those whose certificates clients must show in the TLS handshake; nobody else is trusted. The machine hears of them in `x-client-cert-*` and `client-cert`.",
      fallback: "no certificates are asked for",
    }),
    client_auth: z.enum(["required", "optional"]).optional().meta({
      description: "What becomes of clients without a good one: no connection, or a machine that is told so.",
      fallback: '"required"',
    }),
    client_crl: path().optional().meta({
      description:
        "PEM file of revocation lists, one for each issuer in a chain; when one has run out, no certificate of that issuer is good.",
      fallback: "revocation is not looked at",
    }),
  })
  .prefault({})
  .describe("Certificates of clients.");

const hsts = z
  .strictObject({
    max_age: z
      .union([z.enum(["auto"]), z.int().min(0).max(MAX_HSTS_S)])
      .optional()
      .meta({
        description:
          "Seconds for which browsers come to the app's names by HTTPS only, told in responses over HTTPS with a certificate they trust; 0 takes it back. `auto` begins with five minutes, and says a day, a week and half a year when the name has been served so for a day, a week and a month.",
        fallback: "browsers are told nothing",
      }),
    include_subdomains: z.boolean().default(false).describe("Also to all names below each of them, whoever serves those."),
    preload: z
      .boolean()
      .default(false)
      .describe(
        "Consent to being built into browsers. Asks for a `max_age` of a year and `include_subdomains`, and can hardly be taken back.",
      ),
  })
  .prefault({})
  .describe("`Strict-Transport-Security`, for responses that have none from the app.");

const failuresInARow = () => z.int().min(0).max(1000);

const outliers = z
  .strictObject({
    consecutive: failuresInARow()
      .default(5)
      .describe("After so many failed or broken connections in a row a worker leaves a machine alone for a while; 0 is never."),
    five_xx: failuresInARow().default(0).describe("The same after so many responses 5xx, or time-outs, in a row; 0 is never."),
    base: duration({ minMs: 1 })
      .prefault("30s")
      .describe("How long it is left alone, the first time; each time soon after is longer by as much, up to ten times that."),
    max_ejected: z
      .number()
      .min(0)
      .max(0.5)
      .default(0.5)
      .meta({ description: "Most of a service's running machines that are left alone at once.", kind: "a share from 0 to 0.5" }),
  })
  .prefault({})
  .describe("Machines that fail while their checks pass.");

const kittiwake = z
  .strictObject({
    hostnames: z
      .array(hostnamePattern())
      .default([])
      .describe(
        "Host names that lead to the app, besides `<app>.<domain>`; `*.example.com` is every name one level below that nobody declares.",
      ),
    driver: z
      .enum(["process", "static", "docker", "command", "fly"])
      .optional()
      .meta({
        description: "What runs the machines.",
        fallback: '"static" if a machine has an address, else "process"',
        pending: ["docker", "command", "fly"],
      }),
    region_policy: z
      .enum(["any", "local-preferred", "local-only"])
      .default("any")
      .describe(
        "When traffic may leave the edge's own region. `any`: whenever no machine there is up and below its hard limit. `local-preferred`: only when, besides, none there starts or can be woken; it then goes to the nearest region below its soft limit, or else below its hard one. `local-only`: never; where the region has no machine, requests are refused with `no_machine`.",
      ),
    balance: z
      .enum(["closest", "spread", "pack"])
      .default("closest")
      .describe(
        "Which machine gets a request, of those that `region_policy` allows. `closest`: in the nearest region with room, the one of two at random that has less to do and answers sooner. `spread`: the same wherever they are, by load alone. `pack`: as `closest`, but the first in a fixed order that is below its soft limit, so that the rest can sleep.",
      ),
    idle_timeout: duration({ minMs: 1 }).prefault("5m").describe("How long a machine may be without load before it sleeps."),
    wake_timeout: duration({ minMs: 1 }).prefault("30s").describe("How long a request may be held while a machine wakes."),
    min_machines_running: z.record(regionCode(), z.int().min(0)).default({}).meta({
      description:
        "By region, how many machines of each process group stay awake there; in the primary region in place of what its services say.",
      kind: "a table of numbers",
    }),
    warm_detour: z
      .boolean()
      .default(true)
      .describe(
        "While the nearest region sleeps, requests are served by a machine that is awake further off, if the way there is shorter than the wake is expected to take; without it they wait for the nearest.",
      ),
    wait_page: z
      .boolean()
      .default(false)
      .describe(
        "A browser that opens a page of the app and would wait longer than a second for a machine to wake gets a page at once that shows how long it takes, and turns into the app's by itself. Everything else is held.",
      ),
    steering: z
      .enum(["any", "trusted"])
      .default("any")
      .describe(
        "Whose `fly-prefer-*` and `fly-force-*` headers count: everyone's, as on Fly, or only those of clients whose own address is among the node's `trusted_proxies`; to others they change nothing.",
      ),
    ...stickyKeys,
    max_body_size: byteSize().optional().meta({
      description: "Most bytes of a request's body; a larger one gets 413, and wakes no machine. 0 allows none.",
      fallback: "no limit",
    }),
    error_pages: z
      .record(
        z
          .string()
          .regex(/^([45](\d\d|xx)|default)$/)
          .meta({ kind: 'a status such as 503, "4xx", "5xx" or "default"' }),
        path().meta({ kind: "a path" }),
      )
      .default({})
      .meta({
        description:
          "HTML files, relative to this file, that browsers get when the edge itself has to answer with that status; `{{status}}`, `{{code}}` and `{{request_id}}` are filled in.",
        kind: "a table of paths",
      }),
    tls: clientTls,
    hsts,
    access,
    wake_guard: wakeGuard,
    outliers,
    primary,
    machines: z
      .array(placedMachine)
      .default([])
      .describe("Machines that exist already (with an address), or exact placement of those that Kittiwake runs."),
  })
  .prefault({})
  .describe("What Fly keeps outside fly.toml, and what only Kittiwake has.");

const schema = z.object({
  app: appName.meta({ description: "Name of the app.", standIn: "app" }),
  primary_region: regionCode()
    .optional()
    .meta({ description: "Where machines go by default, and where min_machines_running counts.", fallback: "the node's region" }),
  kill_signal: z.enum(KILL_SIGNALS).default("SIGINT").describe("Signal that asks a machine to end."),
  kill_timeout: duration({ bare: "s" }).prefault("5s").describe("How long it may take to end; a bare number is seconds. At most 300s."),
  env: z
    .record(
      z
        .string()
        .regex(/^[^=\0]+$/)
        .meta({ kind: "a name without = and NUL" }),
      scalarText,
    )
    .default({})
    .meta({ description: "Environment of the machines. A name must not start with `FLY_`.", kind: "a table of strings" }),
  processes: z
    .record(
      z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/)
        .meta({ kind: "a name of at most 63 letters, digits, dashes and underscores" }),
      z
        .string()
        .regex(/^[^\0]*$/)
        .meta({ kind: "a command line" }),
    )
    .default({})
    .meta({
      description: "Process groups and their command lines; the process driver runs them with a shell.",
      kind: "a table of commands",
    }),
  http_service: httpService.optional().describe("A web service: HTTP on port 80, HTTPS on port 443."),
  services: z.array(service).default([]).describe("Services with ports of their own."),
  restart: z.array(restart).default([]).describe("What happens when a machine ends by itself."),
  checks: topLevelChecks,
  kittiwake,
  ...pendingSections,
});

export type FlyDocument = z.output<typeof schema>;

export const FLY_DOCUMENT = defineDocument<FlyDocument>(schema);
