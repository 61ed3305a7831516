// What the admin API may ask of the node. The composition root implements it; the API, and through it the CLI, see nothing else.

import type { App } from "../core/app.ts";
import type { MachineRecord } from "../core/machine.ts";
import type { Explanation, WhatIf } from "../routing/explain.ts";

/** What `explain` is asked. */
export interface ExplainQuestion {
  readonly url: string;
  /** Where the request comes in; null: that of the node. */
  readonly region: string | null;
  /** Address of the client; null: not given. */
  readonly client: string | null;
  readonly method: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly whatIf: WhatIf;
}

export interface NodeControl {
  readonly certificates: CertificateControl;
  status(): NodeStatus;
  apps(): readonly App[];
  /** Throws `app_not_found`. */
  machines(app: string): readonly MachineRecord[];
  /** Requests in flight on a machine, over all services and workers. */
  inFlight(machineId: string): number;
  /** Throws `app_not_found`, `machine_not_found`, `machine_state`, `not_supported`, `wake_failed`, `wake_timeout`. */
  start(app: string, machineId: string): Promise<MachineRecord>;
  stop(app: string, machineId: string): Promise<MachineRecord>;
  suspend(app: string, machineId: string): Promise<MachineRecord>;
  /** Which machines a URL could reach from a region, and why. `region` null: this node's. Throws `app_not_found` for unknown hosts. */
  explain(question: ExplainQuestion): Explanation;
  /** Reads the configuration anew. Never throws: a bad one leaves the old in force and is described. */
  reload(): Promise<ReloadResult>;
  /** Prometheus text and its content type. */
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Do all listeners accept and all workers run? */
  isReady(): boolean;
}

export interface NodeStatus {
  readonly node: string;
  readonly region: string;
  readonly version: string;
  readonly runtime: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly ready: boolean;
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly { readonly index: number; readonly restarts: number; readonly connections: number }[];
  readonly apps: readonly {
    readonly name: string;
    readonly hostnames: readonly string[];
    readonly machines: number;
    readonly started: number;
  }[];
  /** Requests waiting at the gate, over all workers. */
  readonly waiting: number;
}

export interface ListenerStatus {
  /** "tls": TLS with no HTTP in it. */
  readonly scheme: "http" | "https" | "tls" | "pg_tls" | "tcp" | "udp";
  readonly publicPort: number;
  readonly host: string;
  readonly port: number;
}

export interface ReloadResult {
  readonly applied: boolean;
  /** Problems (when not applied), warnings, and what needs a restart to take effect; one line each. */
  readonly messages: readonly string[];
  /** Names of the apps that were added, changed, removed. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** The certificates of the fleet: those in the state store. What the local CA makes on the spot is not among them. */
export interface CertificateControl {
  /** All of them, and the names for which orders have only failed so far. */
  list(): Promise<readonly CertificateStatus[]>;
  /** Those for a name or with an id. Throws `certificate_not_found`. */
  show(name: string): Promise<readonly CertificateDetails[]>;
  /** Puts a certificate with its key into the store. Throws `certificate_invalid`, `store_unavailable`, `secret_unavailable`. */
  import(pem: string): Promise<ImportResult>;
  /** Throws `certificate_not_found`, and `secret_unavailable` where the key is asked for and cannot be had. */
  export(choice: CertificateChoice, withKey: boolean): ExportedCertificate;
  /** Deletes one. Throws as `export`, and `store_unavailable`. */
  delete(choice: CertificateChoice): Promise<CertificateStatus>;
  /**
   * Has a new one ordered for a declared name; resolves with it. Throws `certificate_unavailable`, and `bad_request` where there is no ACME
   * authority.
   */
  renew(name: string): Promise<CertificateStatus>;
  /** Has the authority declare the name's own certificate void; another one is ordered. Throws as `renew`, and `certificate_not_found`. */
  revoke(name: string, reason: RevocationReason): Promise<CertificateStatus>;
  /** Seals everything in the store anew. Throws `store_unavailable`, `secret_unavailable`; may be repeated. */
  rotateSecret(): Promise<RotateResult>;
}

/** What authorities accept of RFC 5280, section 5.3.1, with its numbers. */
export const REVOCATION_REASONS = {
  unspecified: 0,
  key_compromise: 1,
  affiliation_changed: 3,
  superseded: 4,
  cessation_of_operation: 5,
} as const;

export type RevocationReason = keyof typeof REVOCATION_REASONS;

export interface CertificateChoice {
  /** Or id. */
  readonly name: string;
  /** null: whichever there is; `bad_request` where there are several. */
  readonly source: CertificateSource | null;
}

export type CertificateSource = "acme" | "imported";

export interface CertificateStatus {
  readonly id: string;
  readonly hostname: string;
  readonly names: readonly string[];
  readonly source: CertificateSource;
  /** "missing": there is none yet. */
  readonly state: "valid" | "expires_soon" | "expired" | "not_yet_valid" | "missing";
  /** Is it what one of its names is served with? */
  readonly isServed: boolean;
  /** RFC 3339. */
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  /** SHA-256 in hex. */
  readonly fingerprint: string | null;
  readonly challenge: string | null;
  readonly directory: string | null;
  /** When it is to be renewed. */
  readonly renewAt: string | null;
  /** Why the authority asks for a renewal. */
  readonly explanationUrl: string | null;
  /** Orders that failed since the last that did not. */
  readonly failures: number;
  readonly lastError: string | null;
  readonly nextAttemptAt: string | null;
}

export interface CertificateDetails extends CertificateStatus {
  /** One line a part, such as `CN=R11`. */
  readonly issuer: string | null;
  readonly serialNumber: string | null;
}

export interface ImportResult {
  readonly certificate: CertificateStatus;
  /** What the operator may want to know. */
  readonly notes: readonly string[];
  /** Ids of earlier ones with the same names, which are gone now. */
  readonly replaced: readonly string[];
}

export interface ExportedCertificate {
  readonly certificatePem: string;
  /** null: it was not asked for. */
  readonly privateKeyPem: string | null;
}

export interface RotateResult {
  /** Of the key that seals now. */
  readonly secretId: string | null;
  /** How many entries were sealed anew. */
  readonly sealed: number;
  /** Entries whose secret is not here. */
  readonly unopened: readonly string[];
}
