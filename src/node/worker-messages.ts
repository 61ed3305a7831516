// What the main thread and the workers say to each other. Everything a worker decides with comes in these messages and in the load table.

import type { AppEntry } from "../catalog/entry.ts";
import type { Target } from "../core/aim.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { PortKind } from "../core/port-kind.ts";
import type { IssuedCertificate } from "../certs/issuer.ts";
import type { WorkerChallenge, WorkerChallengeKind } from "../certs/stored-challenge.ts";
import type { HttpsPorts } from "../edge/redirects.ts";
import type { TrafficReport } from "../telemetry/traffic.ts";

/** Given to a worker at birth. */
export interface WorkerData {
  readonly index: number;
  readonly region: string;
  readonly load: SharedArrayBuffer;
  readonly addresses: SharedArrayBuffer;
  /** 48 bytes: sessions resume on every worker. */
  readonly ticketKeys: Uint8Array;
  /** 32 bytes each, for the edge's own cookies: the first one signs. */
  readonly cookieKeys: readonly Uint8Array[];
  /** For clients that name no known host, where an app takes them. */
  readonly selfSigned: { readonly certificatePem: string; readonly privateKeyPem: string };
  /** Any ClientHello may be the validation of a challenge that this worker has not heard of yet. */
  readonly expectsValidations: boolean;
  readonly log: { readonly level: string; readonly destination: string };
  /** Where access lines go; null for nowhere. */
  readonly accessLog: string | null;
  /** Addresses and CIDR blocks whose connections begin with a PROXY header. */
  readonly proxyProtocolFrom: readonly string[];
  /** Addresses and CIDR blocks whose `x-forwarded-*` is believed. */
  readonly trustedProxies: readonly string[];
  readonly timeouts: WorkerTimeouts;
  readonly limits: WorkerLimits;
}

export interface WorkerTimeouts {
  readonly tlsHandshakeMs: number;
  readonly requestHeadMs: number;
  readonly keepAliveIdleMs: number;
  readonly clientIdleMs: number;
  readonly upstreamConnectMs: number;
  readonly upstreamHeadMs: number;
  readonly upstreamSilenceMs: number;
  readonly upstreamIdleMs: number;
  readonly udpIdleMs: number;
  readonly tunnelIdleMs: number;
  readonly totalMs: number;
  readonly drainMs: number;
}

export interface WorkerLimits {
  readonly headBytes: number;
  readonly targetBytes: number;
  readonly headers: number;
  readonly trailerBytes: number;
  readonly trailers: number;
  readonly chunkExtensionBytes: number;
  readonly underscores: "pass" | "drop" | "refuse";
  readonly heldBodyBytes: number;
  readonly retryBodyBytes: number;
  readonly replayBodyBytes: number;
  readonly keptBodiesBytes: number;
  readonly streams: number;
  readonly clientBytesPerSecond: number;
  readonly waitingPerApp: number;
  readonly udpSessions: number;
  /** 0: any number. */
  readonly connectionsPerAddress: number;
  readonly attempts: number;
  readonly compressors: number;
  readonly replayCacheEntries: number;
}

export interface ListenRequest {
  /** Names the listener: `tls 443 127.0.0.1`. */
  readonly key: string;
  readonly host: string;
  readonly port: number;
  readonly publicPort: number;
  readonly kind: PortKind;
}

export type ToWorker =
  | { readonly type: "app"; readonly entry: AppEntry }
  | { readonly type: "app_removed"; readonly name: string }
  | { readonly type: "listen"; readonly request: ListenRequest }
  | { readonly type: "unlisten"; readonly key: string }
  | { readonly type: "https_ports"; readonly ports: HttpsPorts }
  /** Takes the place of the keys that it was born with. */
  | { readonly type: "ticket_keys"; readonly keys: Uint8Array }
  /** Likewise. */
  | { readonly type: "cookie_keys"; readonly keys: readonly Uint8Array[] }
  | { readonly type: "certificate"; readonly hostname: string; readonly certificate: IssuedCertificate }
  /** Those that the worker has for these names are no longer the right ones. */
  | { readonly type: "certificates_changed"; readonly names: readonly string[] }
  | { readonly type: "certificate_failed"; readonly hostname: string; readonly code: ErrorCode; readonly message: string }
  | { readonly type: "challenge"; readonly challenge: WorkerChallenge }
  | { readonly type: "challenge_gone"; readonly kind: WorkerChallengeKind; readonly name: string }
  /** The answer to "challenge_wanted" where there is none. */
  | { readonly type: "challenge_unknown"; readonly kind: WorkerChallengeKind; readonly name: string }
  /** `key` is that of the target that was asked for; null: none was. */
  | { readonly type: "woken"; readonly app: string; readonly service: string; readonly key: string | null }
  | {
      readonly type: "wake_failed";
      readonly app: string;
      readonly service: string;
      readonly key: string | null;
      readonly code: ErrorCode;
      readonly message: string;
    }
  /** WebSockets to the machine are told that the server goes away. */
  | { readonly type: "leave_tunnels"; readonly machine: string }
  | { readonly type: "report" }
  /** Answered with "taken": all that was sent before has been. */
  | { readonly type: "mark"; readonly mark: number }
  | { readonly type: "drain" }
  /** A test's: throws inside the worker. */
  | { readonly type: "crash" }
  /** A test's: the clock of the time-outs leaps ahead. Answered with "time_passed". */
  | { readonly type: "pass_time"; readonly ms: number };

export type FromWorker =
  | { readonly type: "started" }
  | { readonly type: "listening"; readonly key: string; readonly port: number }
  | { readonly type: "listen_failed"; readonly key: string; readonly message: string; readonly code: string }
  | { readonly type: "certificate_wanted"; readonly hostname: string }
  | { readonly type: "challenge_wanted"; readonly kind: WorkerChallengeKind; readonly name: string }
  /** "asleep" and "near" are answered, since somebody waits. "near", "detour": something nearer than what is awake should be. */
  | {
      readonly type: "wake";
      readonly app: string;
      readonly service: string;
      readonly reason: "asleep" | "busy" | "near" | "detour";
      /** null: any machine will do. */
      readonly target: Target | null;
    }
  /** The first request after a wake is on its way to the machine. */
  | { readonly type: "served"; readonly app: string; readonly machine: string; readonly heldMs: number }
  /** The machine says that it is not to sleep for so long. */
  | { readonly type: "busy"; readonly machine: string; readonly seconds: number }
  | { readonly type: "report"; readonly report: TrafficReport }
  | { readonly type: "taken"; readonly mark: number }
  | { readonly type: "drained" }
  | { readonly type: "time_passed" };
