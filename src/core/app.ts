// An app as the edge and the host understand it: a fly.toml with every alias and default resolved.
// Plain values only, so that it can be stored, sent to a worker, and compared.

import type { PathScope } from "./path-scope.ts";

export type AutoStop = "off" | "stop" | "suspend";
export type RegionPolicy = "any" | "local-preferred" | "local-only";
/** Which of the machines that may take a request gets it: one of the nearest region, of all alike, or the fullest with room. */
export type Balance = "closest" | "spread" | "pack";
export type DriverName = "process" | "static" | "docker" | "command" | "fly";
export type RestartPolicy = "always" | "never" | "on-failure";
export type KillSignal = "SIGINT" | "SIGTERM" | "SIGQUIT" | "SIGHUP" | "SIGUSR1" | "SIGUSR2" | "SIGKILL" | "SIGSTOP";

export interface App {
  readonly name: string;
  /** Where its fly.toml is: working directory of the process driver. */
  readonly directory: string;
  readonly primaryRegion: string;
  /** Every host name that leads here, lower case, without a trailing dot; `<app>.<domain>` comes first. */
  readonly hostnames: readonly string[];
  readonly services: readonly Service[];
  readonly groups: readonly ProcessGroup[];
  /** The machines that should exist. */
  readonly machines: readonly MachineSpec[];
  readonly driver: DriverName;
  /** `[env]`, all values as strings. */
  readonly env: Readonly<Record<string, string>>;
  readonly killSignal: KillSignal;
  readonly killTimeoutMs: number;
  readonly regionPolicy: RegionPolicy;
  readonly balance: Balance;
  readonly idleTimeoutMs: number;
  readonly wakeTimeoutMs: number;
  /** By region: machines of each process group that stay awake there, in place of what its services say for the primary region. */
  readonly minMachinesRunning: Readonly<Record<string, number>>;
  readonly warmDetour: boolean;
  /** Whose `fly-prefer-*` and `fly-force-*` headers count: everyone's, or those of clients that are trusted proxies themselves. */
  readonly steering: "any" | "trusted";
  /** null: clients stick to no machine. */
  readonly sticky: Sticky | null;
  /** null: machines of every region may get what writes. */
  readonly primary: PrimaryRules | null;
  /** The app's own pages for errors of the edge: HTML by status ("503"), by class ("5xx"), or for all others ("default"). */
  readonly errorPages: Readonly<Record<string, string>>;
  /** null where no certificates are asked of clients, the usual case. */
  readonly clientAuth: ClientAuth | null;
  /** null: browsers are not told to come by HTTPS only, unless by the app itself. */
  readonly hsts: Hsts | null;
  /** null: everybody may come, as often as they like. */
  readonly access: AccessRules | null;
  /** Browsers that would wait for a machine to wake get a page that does so. */
  readonly waitPage: boolean;
  /** null: whatever may come wakes the app, as often as it likes. */
  readonly wakeGuard: WakeGuardRules | null;
  readonly outliers: OutlierRules;
  /** `[checks]`: beside those of the services. */
  readonly checks: readonly AppCheck[];
}

/** Clients come back to the machine that answered them, by a cookie; `[kittiwake] sticky`. */
export interface Sticky {
  /** How long after it was set, in seconds. */
  readonly forS: number;
}

/** Where an app's data is written, and who is to read it there; `[kittiwake.primary]`. */
export interface PrimaryRules {
  readonly region: string;
  /** Upper case; requests with any other method write. */
  readonly readMethods: readonly string[];
  /** Patterns of paths, with `*` for any text: requests for them write, whatever their method. */
  readonly alwaysForward: readonly string[];
  /** Patterns of paths: requests for them neither write nor read, whatever `alwaysForward` has. */
  readonly passthrough: readonly string[];
  /** How long a client that wrote reads in the primary region, in seconds. */
  readonly followS: number;
  /** Who gets what writes when no machine of the primary region can. */
  readonly fallback: "none" | "any";
}

/** A check of machines that belongs to no service; reference section 1.7. */
export interface AppCheck {
  readonly check: ServiceCheck;
  /** What it probes: an internal port of a service, or another one of the machine. */
  readonly port: number;
  /** Process groups whose machines it is made of; never empty. */
  readonly groups: readonly string[];
  /** "readiness": a machine that fails it gets no traffic. "informational": it is only shown. */
  readonly kind: "informational" | "readiness";
}

/** Who may come to an app, and how much; `[kittiwake.access]`. */
export interface AccessRules {
  /** Addresses and CIDR blocks; empty: all. */
  readonly allow: readonly string[];
  /** Addresses and CIDR blocks, whatever `allow` has. */
  readonly deny: readonly string[];
  /** Requests of an address. */
  readonly rate: SpacedRate | null;
  readonly connectionsPerAddress: number | null;
}

/** Of an address: one each interval, and so much ahead of that. */
export interface SpacedRate {
  readonly intervalMs: number;
  readonly toleranceMs: number;
}

export const SLEEP_ANSWERS = ["robots", "favicon", "health-checks"] as const;
/** What the edge can answer itself while an app sleeps. */
export type SleepAnswer = (typeof SLEEP_ANSWERS)[number];

/** What does not wake an app; `[kittiwake.wake_guard]`. */
export interface WakeGuardRules {
  readonly answers: readonly SleepAnswer[];
  /** Wakes that an address may cause; null: any number. */
  readonly wakes: SpacedRate | null;
}

/** When an edge leaves a machine alone for what it sees of it, whatever its checks say; `[kittiwake.outliers]`. */
export interface OutlierRules {
  /** Failed or broken connections in a row; 0: they are not counted. */
  readonly consecutive: number;
  /** Responses 5xx in a row; 0: they are not counted. */
  readonly fiveXx: number;
  /** How long, the first time. */
  readonly baseMs: number;
  /** Share of a service's machines that may be left alone at once, from 0 to 0.5. */
  readonly maxEjected: number;
}

/** What `Strict-Transport-Security` says (RFC 6797); `[kittiwake.hsts]`. */
export interface Hsts {
  /** Seconds; null: the longer, the longer the name has been served with a certificate that browsers trust. */
  readonly maxAgeS: number | null;
  readonly includeSubdomains: boolean;
  readonly preload: boolean;
}

/** Certificates that an app asks of its clients in the TLS handshake; `[kittiwake.tls]`. */
export interface ClientAuth {
  /** Two sets of rules with one id are the same. */
  readonly id: string;
  /** "required": without a good one there is no connection. "optional": the machine hears what came of it. */
  readonly mode: "required" | "optional";
  /** PEM of those who issue them; nobody else is trusted. */
  readonly ca: string;
  /** PEM of revocation lists, one for each issuer; null: revocation is not looked at. */
  readonly crl: string | null;
}

/** One `[processes]` entry. */
export interface ProcessGroup {
  readonly name: string;
  /** Shell command line; empty when the machines of this group exist already (driver "static"). */
  readonly command: string;
  readonly restart: { readonly policy: RestartPolicy; readonly retries: number };
}

/** A machine that should exist, running or asleep. */
export interface MachineSpec {
  /** 14 hex digits for machines that we place; as given in `[[kittiwake.machines]]` otherwise. */
  readonly id: string;
  /** Short name for people: `ams`, `ams-2`, or the given id. */
  readonly name: string;
  readonly group: string;
  readonly region: string;
  /** Only for machines at given addresses: host and port of the first service. */
  readonly address: Address | null;
}

export interface Address {
  /** IP address or host name. */
  readonly host: string;
  readonly port: number;
}

/** One `[http_service]` or `[[services]]` entry; reference section 1.4. */
export interface Service {
  /** Stable within the app: `tcp-8080`, with `-2` and so on where one internal port is used twice. */
  readonly key: string;
  readonly protocol: "tcp" | "udp";
  readonly internalPort: number;
  /** Process groups it applies to; never empty. */
  readonly groups: readonly string[];
  readonly autoStop: AutoStop;
  readonly autoStart: boolean;
  readonly minMachinesRunning: number;
  readonly concurrency: Concurrency;
  readonly ports: readonly ServicePort[];
  readonly checks: readonly ServiceCheck[];
  /** Most bytes of a request's body; null: unlimited. */
  readonly maxBodyBytes: number | null;
}

/** Reference section 1.5. */
export interface Concurrency {
  readonly type: "connections" | "requests";
  readonly softLimit: number;
  /** null: unlimited. */
  readonly hardLimit: number | null;
}

export type Handler = "http" | "tls" | "pg_tls" | "proxy_proto";

/** A public port of a service; reference section 1.6. A range has `start` below `end`. */
export interface ServicePort {
  readonly start: number;
  readonly end: number;
  /** Sorted; empty is raw TCP. */
  readonly handlers: readonly Handler[];
  readonly forceHttps: boolean;
  /** null where nothing of it is asked for, the usual case. */
  readonly http: HttpOptions | null;
  /** The machine speaks HTTP/2 without TLS, with prior knowledge. */
  readonly h2Backend: boolean;
  /** `replay_cache`, in the order in which they are looked at; null for none, the usual case. */
  readonly sessions: readonly SessionRule[] | null;
  readonly rules: ConnectionRules;
}

/** What tells sessions apart below a path, whose replays are remembered; reference section 4.6. */
export interface SessionRule {
  readonly scope: PathScope;
  readonly ttlMs: number;
  readonly type: "cookie" | "header";
  /** Of the cookie; of a header in lower case. */
  readonly name: string;
  /** May a request say that it is to be as if nothing were remembered? */
  readonly allowBypass: boolean;
}

/** `http_options` of a port; reference section 2.6. */
export interface HttpOptions {
  /** Compress responses for clients that want it. */
  readonly compress: boolean;
  /** How long nothing may pass between the edge and the machine, either way; 0: for ever. */
  readonly idleTimeoutMs: number;
  /** How long a request's head may take; 0: as long as the node lets it. */
  readonly headTimeoutMs: number;
  /** Changes to a machine's response, in order. */
  readonly responseHeaders: readonly ResponseHeader[];
  /** Leave Server, Via and Fly-Request-Id of a machine's response as they are. */
  readonly pristine: boolean;
}

/** What becomes of the fields with a name: one is set for each value, and with no value they are removed. */
export interface ResponseHeader {
  /** Lower case. */
  readonly name: string;
  readonly values: readonly string[];
}

/** What holds for the connections to a public port beyond its handlers. */
export interface ConnectionRules {
  /** How long a connection without the http handler may be silent; 0: for ever. */
  readonly idleTimeoutMs: number;
  /** TLS goes on to the machine as it is; only the name in its first message is read. */
  readonly isPassedThrough: boolean;
  /** Header in front of what goes to the machine, which says where the client is. */
  readonly proxyProtocol: "v1" | "v2" | null;
  /** `tls_options`; null where nothing of it is asked for, the usual case. */
  readonly tls: TlsRules | null;
}

/** Reference section 2.3. */
export interface TlsRules {
  /** Protocols to offer, best first; null: what the handlers need. */
  readonly alpn: readonly string[] | null;
  readonly versions: TlsVersions;
  /** Clients that name no host, or one without a certificate, get a self-signed one. */
  readonly defaultSelfSigned: boolean;
}

export type TlsVersions = "all" | "TLSv1.2" | "TLSv1.3";

export const PLAIN_RULES: ConnectionRules = { idleTimeoutMs: 0, isPassedThrough: false, proxyProtocol: null, tls: null };

/** Reference section 1.7. Durations are already clamped. */
export type ServiceCheck = HttpCheck | TcpCheck;

interface CheckTiming {
  /** `servicecheck-00-http-8080`; reference section 7.1. */
  readonly name: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly gracePeriodMs: number;
}

export interface TcpCheck extends CheckTiming {
  readonly type: "tcp";
}

export interface HttpCheck extends CheckTiming {
  readonly type: "http";
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  readonly protocol: "http" | "https";
  readonly tlsSkipVerify: boolean;
  readonly tlsServerName: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** The strongest wish not to sleep wins where several services share a process group; reference section 1.4. */
export function leastAggressiveAutoStop(services: readonly Service[]): AutoStop {
  if (services.length === 0 || services.some((service) => service.autoStop === "off")) return "off";
  return services.some((service) => service.autoStop === "stop") ? "stop" : "suspend";
}
