// The files in which certificates and keys are kept, whatever their form, as PEM without encryption: what the admin API takes. It runs where
// the password is, in the command line, so that the password goes nowhere.

import { createPrivateKey, X509Certificate } from "node:crypto";

import { ProxyError } from "../core/errors.ts";
import { splitPem } from "./pem.ts";
import { pemOfPkcs12 } from "./pkcs12.ts";

/**
 * Certificates and private keys of a file: PEM, a single certificate in DER, or PKCS #12.
 *
 * @param password null: none was given
 * @throws `certificate_invalid`, also for a password that does not open the file
 */
export function plainPem(file: Buffer, password: string | null): string {
  const text = file.toString("latin1");
  if (text.includes("-----BEGIN ")) {
    const { certificates, keys } = splitPem(text);
    return [...certificates, ...keys.map((key) => plainKey(key, password))].join("");
  }
  return derCertificate(file) ?? pemOfPkcs12(file, password);
}

function plainKey(pem: string, password: string | null): string {
  // RFC 7468, section 11, and the older form of RFC 1421.
  const isEncrypted = pem.includes("ENCRYPTED PRIVATE KEY-----") || /^Proc-Type: *4, *ENCRYPTED/m.test(pem);
  if (!isEncrypted) return pem;
  if (password === null)
    throw new ProxyError("certificate_invalid", "the private key is encrypted; give its password with --password-file");
  try {
    return createPrivateKey({ key: pem, passphrase: password }).export({ type: "pkcs8", format: "pem" }).toString();
  } catch {
    throw new ProxyError("certificate_invalid", "the password does not open the private key");
  }
}

function derCertificate(file: Buffer): string | null {
  try {
    return new X509Certificate(file).toString();
  } catch {
    return null;
  }
}
