// Answers a TLS handshake with the certificate of the name that the client asks for (RFC 6066, section 3). Runs in the workers, once a
// full handshake: a cached name is answered at once, without a promise; a declared one that is new is fetched from the main thread.

import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";

import { LRUCache } from "lru-cache";

import type { ClientAuth } from "../core/app.ts";
import { ProxyError } from "../core/errors.ts";
import { SingleFlight } from "../core/single-flight.ts";
import { alternativeNames } from "./alternative-names.ts";
import { canonicalServerName } from "./server-name.ts";
import type { IssuedCertificate } from "./issuer.ts";
import { tlsOptions } from "./tls-options.ts";
import { wildcardOf } from "./wildcard.ts";

export interface SniOptions {
  /** What the app that declares this canonical name asks of its clients: null for nothing; undefined where no app does. */
  clientAuth(hostname: string): ClientAuth | null | undefined;
  /** Asks the main thread. Must settle: handshakes wait for it, as long as the listener's handshake timeout allows. */
  fetch(hostname: string): Promise<IssuedCertificate>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** How many names are kept, least recently used out first. */
  readonly max?: number;
}

/** For the `SNICallback` option of a TLS server. */
export interface SniCallback {
  /** Fails with `tls_unknown_name` or `certificate_unavailable`; Node then closes the connection without an answer. */
  (servername: string, done: (error: Error | null, context?: SecureContext) => void): void;
  /** Takes the place of what was known for the name; later handshakes get it, open connections are not touched. */
  set(hostname: string, certificate: IssuedCertificate): void;
  /** What the certificate of a canonical name is for, wildcards included; empty where it is not known here. */
  namesOf(hostname: string): readonly string[];
  /** Other certificates are to be had for these names, or none: the next handshake asks. `*.` stands for every name below. */
  forget(names: readonly string[]): void;
  /** As the certificate of a canonical name says; null where it is not known here. */
  trustedSince(hostname: string): number | null;
}

/** What a certificate comes to. */
interface Served {
  readonly context: SecureContext;
  /** All that it is for. */
  readonly names: readonly string[];
}

interface Known extends Served {
  readonly notAfterMs: number;
  /** Id of the rules that it was made for; null for none. */
  readonly clientAuth: string | null;
  readonly trustedSinceMs: number | null;
}

/** A context takes some 35 KB, so these take a hundred megabytes in each worker; making one again takes half a millisecond. */
const DEFAULT_MAX = 3000;
/** Contexts that many names have in common, such as those below a wildcard. */
const MAX_SHARED = 200;
const NO_NAMES: readonly string[] = [];

export function createSniCallback({ clientAuth, fetch, now = Date.now, max = DEFAULT_MAX }: SniOptions): SniCallback {
  const known = new LRUCache<string, Known>({ max });
  /** Names that are served with the certificate of another, a wildcard: as many as clients can think of, so they do not drive out the above. */
  const borrowed = new LRUCache<string, Known>({ max });
  const shared = new LRUCache<string, Served>({ max: MAX_SHARED });
  const fetches = new SingleFlight<SecureContext>();
  /** How many times something was forgotten. */
  let forgotten = 0;

  const lookup = (hostname: string): SecureContext | null => {
    const entry = known.get(hostname) ?? borrowed.get(hostname);
    if (entry === undefined) return null;
    const rules = clientAuth(hostname);
    if (entry.notAfterMs > now() && rules !== undefined && entry.clientAuth === idOf(rules)) return entry.context;
    drop(hostname);
    return null;
  };

  const drop = (hostname: string): void => {
    known.delete(hostname);
    borrowed.delete(hostname);
  };

  const serve = (hostname: string, certificate: IssuedCertificate, rules: ClientAuth | null): Served => {
    if (certificate.hostname === hostname) return servedWith(certificate, rules);
    const key = `${idOf(rules)} ${certificate.certificatePem}`;
    const served = shared.get(key) ?? servedWith(certificate, rules);
    shared.set(key, served);
    return served;
  };

  const set = (hostname: string, certificate: IssuedCertificate): SecureContext => {
    const rules = clientAuth(hostname) ?? null;
    const served = serve(hostname, certificate, rules);
    drop(hostname);
    const names = certificate.hostname === hostname ? known : borrowed;
    const { notAfter, trustedSinceMs = null } = certificate;
    names.set(hostname, { ...served, notAfterMs: notAfter.getTime(), clientAuth: idOf(rules), trustedSinceMs });
    return served.context;
  };

  const fetchOnce = (hostname: string): Promise<SecureContext> =>
    fetches.run(hostname, async () => {
      const before = forgotten;
      const certificate = await fetch(hostname);
      // What was forgotten meanwhile may be this very certificate: it is good for the handshakes that wait, and not kept.
      if (forgotten !== before) return contextOf(certificate, clientAuth(hostname) ?? null);
      // A renewal may have come in while the fetch was under way.
      return lookup(hostname) ?? set(hostname, certificate);
    });

  const callback: (...parameters: Parameters<SniCallback>) => void = (servername, done) => {
    // Nearly all clients send the canonical spelling, so that one is tried before any work is done on it.
    const cached = lookup(servername);
    if (cached !== null) return done(null, cached);
    const hostname = canonicalServerName(servername);
    if (hostname === null || clientAuth(hostname) === undefined) {
      return done(new ProxyError("tls_unknown_name", `no app declares ${JSON.stringify(servername.slice(0, 255))}`));
    }
    const context = lookup(hostname);
    if (context !== null) return done(null, context);
    fetchOnce(hostname).then(
      (fetched) => done(null, fetched),
      (cause: unknown) => done(translate(hostname, cause)),
    );
  };

  const forget = (names: readonly string[]): void => {
    forgotten++;
    const wildcards = new Set(names.filter((name) => name.startsWith("*.")));
    for (const name of names) drop(name);
    if (wildcards.size === 0) return;
    for (const hostname of [...known.keys(), ...borrowed.keys()]) if (wildcards.has(wildcardOf(hostname) ?? "")) drop(hostname);
  };

  return Object.assign(callback, {
    set: (hostname: string, certificate: IssuedCertificate) => void set(hostname, certificate),
    namesOf: (hostname: string) => (known.peek(hostname) ?? borrowed.peek(hostname))?.names ?? NO_NAMES,
    forget,
    trustedSince: (hostname: string) => {
      const entry = known.peek(hostname) ?? borrowed.peek(hostname);
      return entry === undefined || entry.notAfterMs <= now() ? null : entry.trustedSinceMs;
    },
  });
}

function servedWith(certificate: IssuedCertificate, rules: ClientAuth | null): Served {
  return { context: contextOf(certificate, rules), names: alternativeNames(new X509Certificate(certificate.certificatePem)) };
}

function idOf(rules: ClientAuth | null): string | null {
  return rules === null ? null : rules.id;
}

function contextOf({ hostname, certificatePem, privateKeyPem }: IssuedCertificate, clientAuth: ClientAuth | null): SecureContext {
  try {
    return createSecureContext({ ...tlsOptions({ clientAuth }), cert: certificatePem, key: privateKeyPem });
  } catch (cause) {
    throw new ProxyError("certificate_unavailable", `the certificate for "${hostname}" cannot be used: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function translate(hostname: string, cause: unknown): ProxyError {
  if (cause instanceof ProxyError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ProxyError("certificate_unavailable", `no certificate could be had for "${hostname}": ${reason}`, { cause });
}
