// Kittiwake's own certificate authority, for development and private networks: a root in the data directory, and certificates made
// on the spot for whatever name is asked. Clients trust it once (`kittiwake certs root`). Who may ask is certificates.ts's business.

import { createPrivateKey, X509Certificate } from "node:crypto";

import type { Logger } from "pino";

import { ProxyError } from "../core/errors.ts";
import { canonicalServerName } from "./server-name.ts";
import type { IssuedCertificate, Issuer } from "./issuer.ts";
import { CERTIFICATE_FILE, isKeyExposed, KEY_FILE, readRoot, REMEDY, type RootPair, writeRoot } from "./root-files.ts";
import { createLeaf, createRoot, createSigner, type Signer } from "./sign.ts";

export interface LocalCaOptions {
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const ROOT_LIFETIME_MS = 3652 * DAY_MS;
const LEAF_LIFETIME_MS = 7 * DAY_MS;
/** For clients whose clocks are slow. */
const BACKDATE_MS = HOUR_MS;
const WARN_BEFORE_END_MS = 30 * DAY_MS;

export class LocalCa implements Issuer {
  /** The root certificate, for clients to trust. */
  readonly rootPem: string;
  readonly #directory: string;
  readonly #signer: Signer;
  readonly #log: Logger;
  readonly #now: () => number;
  #warnedAtMs = -Infinity;

  private constructor(directory: string, rootPem: string, signer: Signer, { log, now = Date.now }: LocalCaOptions) {
    this.rootPem = rootPem;
    this.#directory = directory;
    this.#signer = signer;
    this.#log = log;
    this.#now = now;
  }

  /**
   * Loads the CA of `directory`, and makes one where there is none. Throws `certificate_unavailable` for one that is damaged,
   * expired, or only half there; such a CA is never replaced, because somebody trusts it.
   */
  static async open(directory: string, options: LocalCaOptions): Promise<LocalCa> {
    const pair = (await readRoot(directory)) ?? (await makeRoot(directory, options));
    const ca = new LocalCa(directory, pair.certificatePem, parse(directory, pair), options);
    if (await isKeyExposed(directory)) {
      options.log.warn({ directory }, `others than its owner can read the local CA's key; run chmod 600 ${KEY_FILE}`);
    }
    ca.#assertValid();
    return ca;
  }

  /** Makes a key and a certificate for a host name, a wildcard or an IP address: seven days from now, backdated by an hour. */
  async issue(hostname: string): Promise<IssuedCertificate> {
    const star = hostname.startsWith("*.") ? "*." : "";
    const name = canonicalServerName(hostname.slice(star.length));
    if (name === null) throw new ProxyError("certificate_unavailable", `${JSON.stringify(hostname)} is not a host name`);
    this.#assertValid();
    const nowMs = this.#now();
    const endMs = Math.min(nowMs + LEAF_LIFETIME_MS, this.#signer.certificate.notAfter.getTime());
    return createLeaf(star + name, { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(endMs) }, this.#signer);
  }

  #assertValid(): void {
    const { notBefore, notAfter } = this.#signer.certificate;
    const nowMs = this.#now();
    if (nowMs < notBefore.getTime()) {
      throw new ProxyError(
        "certificate_unavailable",
        `the local CA in "${this.#directory}" is not valid before ${notBefore.toISOString()}; check the clock of this machine`,
      );
    }
    const leftMs = notAfter.getTime() - nowMs;
    if (leftMs <= 0) {
      throw new ProxyError(
        "certificate_unavailable",
        `the local CA in "${this.#directory}" expired on ${notAfter.toISOString()}; ` +
          "move the directory away to have a new one made, which clients must then be told to trust",
      );
    }
    if (leftMs < WARN_BEFORE_END_MS && nowMs - this.#warnedAtMs >= DAY_MS) {
      this.#warnedAtMs = nowMs;
      this.#log.warn(
        { directory: this.#directory, notAfter },
        `the local CA expires in ${Math.floor(leftMs / DAY_MS)} days; move its directory away to have a new one made, and have clients trust that`,
      );
    }
  }
}

async function makeRoot(directory: string, { log, now = Date.now }: LocalCaOptions): Promise<RootPair> {
  const nowMs = now();
  const made = await createRoot({ notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + ROOT_LIFETIME_MS) });
  if (await writeRoot(directory, made)) {
    log.info({ directory }, "made a new local CA");
    return made;
  }
  const found = await readRoot(directory);
  if (found !== null) return found;
  throw new ProxyError("certificate_unavailable", `cannot make a local CA in "${directory}", as it holds other files; empty it first`);
}

function parse(directory: string, pair: RootPair): Signer {
  const refuse = (problem: string, cause?: unknown): never => {
    throw new ProxyError("certificate_unavailable", `the local CA in "${directory}" is unusable: ${problem}; ${REMEDY}`, { cause });
  };
  const attempt = <Parsed>(file: string, parser: () => Parsed): Parsed => {
    try {
      return parser();
    } catch (cause) {
      return refuse(`${file} is damaged`, cause);
    }
  };
  const certificate = attempt(CERTIFICATE_FILE, () => new X509Certificate(pair.certificatePem));
  const privateKey = attempt(KEY_FILE, () => createPrivateKey(pair.privateKeyPem));
  if (privateKey.asymmetricKeyDetails?.namedCurve !== "prime256v1") refuse(`${KEY_FILE} is not an EC key on P-256`);
  if (!certificate.checkPrivateKey(privateKey)) refuse(`${KEY_FILE} does not belong to ${CERTIFICATE_FILE}`);
  if (!certificate.ca || !certificate.verify(certificate.publicKey)) refuse(`${CERTIFICATE_FILE} is not a self-signed CA certificate`);
  return createSigner(pair.certificatePem, privateKey);
}
