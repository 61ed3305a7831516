// What became of asking a client for a certificate: whether the connection may go on, and what its machines hear of it. Everything said here
// comes from a certificate whose chain was verified; of any other one nothing is passed on.

import type { TLSSocket } from "node:tls";
import type { ClientAuth } from "../core/app.ts";
import { ProxyError } from "../core/errors.ts";
import type { AddedField, ClientFacts, ClientIdentity } from "../upstream/forward.ts";

/** As they are: Node has none where a name is empty. */
type Names = { readonly [Name in "subject" | "issuer" | "subjectAltName"]: string | undefined };

/**
 * To be asked once the handshake is over. Throws `client_certificate_required` or `client_certificate_refused` where the app's rules
 * demand a good one.
 */
export function clientIdentity(socket: TLSSocket, rules: ClientAuth, nowMs: number): ClientIdentity {
  const { mode } = rules;
  const certificate = socket.getPeerX509Certificate();
  // Before what OpenSSL found: a TLS 1.3 session that is resumed without a certificate passes for one with a good one.
  if (certificate === undefined) {
    if (mode === "required") throw new ProxyError("client_certificate_required");
    return noneOf(rules);
  }
  // A session that is resumed was verified when it began.
  const problem = nowMs > certificate.validToDate.getTime() ? "CERT_HAS_EXPIRED" : verifyError(socket);
  if (problem !== null) {
    if (mode === "required") {
      const who = oneLine((certificate as Names).subject ?? "").slice(0, 200);
      throw new ProxyError("client_certificate_refused", `the certificate of "${who}" does not verify: ${problem}`);
    }
    return { rules, isGood: false, fields: [["x-client-cert-verify", "FAILED"]] };
  }
  const { subject, issuer, subjectAltName } = certificate as Names;
  const fields: AddedField[] = [["x-client-cert-verify", "SUCCESS"]];
  // Whoever is named by an alternative name alone may have no subject (RFC 5280 section 4.1.2.6); SPIFFE does so.
  if (subject !== undefined) fields.push(["x-client-cert-subject", oneLine(subject)]);
  if (issuer !== undefined) fields.push(["x-client-cert-issuer", oneLine(issuer)]);
  if (subjectAltName !== undefined) fields.push(["x-client-cert-san", plain(subjectAltName)]);
  fields.push(
    ["x-client-cert-serial", certificate.serialNumber.toLowerCase()],
    ["x-client-cert-not-after", certificate.validToDate.toISOString()],
    ["x-client-cert-fingerprint", certificate.fingerprint256.replaceAll(":", "").toLowerCase()],
  );
  // RFC 9440 section 2.2: a byte sequence of a structured field.
  fields.push(["client-cert", `:${certificate.raw.toString("base64")}:`]);
  return { rules, isGood: true, fields };
}

/**
 * What an app hears of its client's certificate whose request another app's machine hands on to it, so that nobody gets past its rules, or
 * passes for somebody there, by what was shown to the other one. undefined: it demands one, and there is none that it would have taken.
 */
export function identityAt(rules: ClientAuth | null, { scheme, identity }: ClientFacts): ClientIdentity | null | undefined {
  if (rules === null) return null;
  if (identity !== null && identity.rules.id === rules.id) return identity;
  // Whether one is demanded or asked for changes nothing in what is a good one.
  if (identity?.isGood === true && identity.rules.ca === rules.ca && identity.rules.crl === rules.crl) return identity;
  if (rules.mode === "required") return undefined;
  return scheme === "http" ? null : noneOf(rules);
}

function noneOf(rules: ClientAuth): ClientIdentity {
  return { rules, isGood: false, fields: [["x-client-cert-verify", "NONE"]] };
}

/**
 * OpenSSL's word for what is wrong with the chain; null for nothing. Node's own TLS server asks its handle in this way, and has nothing public
 * for a socket that it did not make.
 */
function verifyError(socket: TLSSocket): string | null {
  const handle = (socket as unknown as { readonly _handle: { verifyError(): (Error & { code?: string }) | null } | null })._handle;
  if (handle === null) return "CONNECTION_CLOSED";
  const error = handle.verifyError();
  // Not `error?.code`: an error without a code is one all the same.
  return error === null || error === undefined ? null : (error.code ?? error.message);
}

/** A distinguished name in the form of RFC 4514, from the lines that Node has: the most specific part first. */
function oneLine(name: string): string {
  return plain(name.split("\n").toReversed().join(","));
}

/** In ASCII that a header field can carry; other characters as "\" and two hex digits for each byte of UTF-8 (RFC 4514 section 2.4). */
function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `\\${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}
