// PKCS #12 (RFC 7292), the files that end in .p12 and .pfx, turned into PEM: what Windows, Java and browsers export, encrypted in old ways
// and new. The only file that speaks to node-forge. It takes as long as the file's iterations ask for, so only the command line uses it.

import forge from "node-forge";

import { ProxyError } from "../core/errors.ts";

type Bag = forge.pkcs12.Bag;

/**
 * All certificates and private keys of the file, in PEM.
 *
 * @param password null: none was given; some files have an empty one
 * @throws `certificate_invalid`
 */
export function pemOfPkcs12(file: Buffer, password: string | null): string {
  const container = decode(file);
  const { safeContents } = password === null ? readWithout(container) : readWith(container, password);
  return safeContents.flatMap(({ safeBags }) => safeBags.map(pemOfBag)).join("");
}

function decode(file: Buffer): forge.asn1.Asn1 {
  try {
    return forge.asn1.fromDer(forge.util.createBuffer(file.toString("binary")), false);
  } catch {
    throw new ProxyError("certificate_invalid", "the file is neither PEM, nor a certificate in DER, nor PKCS #12");
  }
}

/** Nobody, and an empty text, are different passwords to those who write such files. */
function readWithout(container: forge.asn1.Asn1): forge.pkcs12.Pkcs12Pfx {
  try {
    return forge.pkcs12.pkcs12FromAsn1(container, false, "");
  } catch {
    try {
      return forge.pkcs12.pkcs12FromAsn1(container, false);
    } catch (error) {
      throw isAboutPassword(error) ? refusal("the file is encrypted; give its password with --password-file") : unreadable(error);
    }
  }
}

function readWith(container: forge.asn1.Asn1, password: string): forge.pkcs12.Pkcs12Pfx {
  try {
    return forge.pkcs12.pkcs12FromAsn1(container, false, password);
  } catch (error) {
    // Newer encryption (PBES2) takes the password in UTF-8, the check of the whole in UTF-16; the library has one text for both. When that
    // was not what failed, the password is right.
    if (!isMac(error) && /[^\x20-\x7e]/.test(password)) return readUnchecked(container, forge.util.encodeUtf8(password));
    throw isAboutPassword(error) ? refusal("the password does not open the file") : unreadable(error);
  }
}

function readUnchecked(container: forge.asn1.Asn1, password: string): forge.pkcs12.Pkcs12Pfx {
  try {
    const unchecked = { ...container, value: container.value.slice(0, 2) } as forge.asn1.Asn1;
    return forge.pkcs12.pkcs12FromAsn1(unchecked, false, password);
  } catch (error) {
    throw unreadable(error);
  }
}

function pemOfBag({ type, cert, key, asn1 }: Bag): string {
  // What the library has no type for, such as an elliptic curve, it leaves as it was.
  if (type === forge.pki.oids["certBag"]) return toPem("CERTIFICATE", cert ? forge.pki.certificateToAsn1(cert) : asn1);
  if (type === forge.pki.oids["keyBag"] || type === forge.pki.oids["pkcs8ShroudedKeyBag"]) {
    return toPem("PRIVATE KEY", key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(key)) : asn1);
  }
  return "";
}

function toPem(label: string, structure: forge.asn1.Asn1): string {
  const base64 = Buffer.from(forge.asn1.toDer(structure).getBytes(), "binary").toString("base64");
  return `-----BEGIN ${label}-----\n${base64.replace(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
}

function isMac(error: unknown): boolean {
  return /MAC could not be verified/.test((error as Error).message);
}

/** A file without a check of the whole fails where it is decrypted. */
function isAboutPassword(error: unknown): boolean {
  return isMac(error) || /decrypt/i.test((error as Error).message);
}

function unreadable(error: unknown): ProxyError {
  return refusal(`the file cannot be read as PKCS #12: ${(error as Error).message}`);
}

function refusal(message: string): ProxyError {
  return new ProxyError("certificate_invalid", message);
}
