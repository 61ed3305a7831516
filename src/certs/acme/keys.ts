// Private keys for accounts and certificates.

import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";

export type KeyKind = "ecdsa-p256" | "rsa-2048";

const generate = promisify(generateKeyPair);

/** PKCS #8 in PEM. */
export async function generateKeyPem(kind: KeyKind): Promise<string> {
  const { privateKey }: { readonly privateKey: KeyObject } =
    kind === "ecdsa-p256" ? await generate("ec", { namedCurve: "P-256" }) : await generate("rsa", { modulusLength: 2048 });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}
