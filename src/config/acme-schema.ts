// [tls.acme]: certificates from an authority that speaks ACME. Part of node-schema.ts.

import { z } from "zod";

import { dynamicUpdates, ownZone } from "./dns-challenge-schema.ts";
import { path } from "./scalars.ts";

const directoryUrl = z.url({ protocol: /^https?$/ });

export const acme = z
  .strictObject({
    directory: directoryUrl
      .default("https://acme-v02.api.letsencrypt.org/directory")
      .meta({ description: "Directory of the certificate authority.", kind: "an http or https URL" }),
    staging_directory: directoryUrl.optional().meta({
      description:
        "Directory that a name which has failed several times is tried with first, so that the limits of the real one are not used up.",
      kind: "an http or https URL",
    }),
    email: z
      .string()
      .regex(/^[^\s@,?]+@[^\s@,?]+$/)
      .optional()
      .meta({ description: "Whom the authority can write to.", kind: "a mail address" }),
    terms_agreed: z
      .boolean()
      .default(true)
      .describe(
        'Whether you accept the authority\'s terms of service, as you do by `issuer = "acme"`; with false an authority that has any is not used.',
      ),
    ca_file: path().optional().describe("Extra root certificate for the ACME server itself, relative to this file."),
    challenges: z
      .array(z.enum(["tls-alpn-01", "http-01", "dns-01"]))
      .min(1)
      .default(["tls-alpn-01", "http-01", "dns-01"])
      .describe("Challenges to try, in this order. Wildcards need `dns-01`, which takes part where it is said how records are set."),
    key: z
      .enum(["ecdsa-p256", "rsa-2048"])
      .default("ecdsa-p256")
      .describe("Kind of the certificates' keys; RSA is for clients of long ago."),
    profile: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
      .optional()
      .meta({
        description: 'One of the authority\'s profiles of certificates, such as `"shortlived"`.',
        kind: "the name of a profile",
        fallback: "the authority's own",
      }),
    new_names_per_week: z.int().min(0).max(1_000_000).optional().meta({
      description: "Most names under one registered domain that get their first certificate within a week; 0 is any number.",
      fallback: "50 with Let's Encrypt, otherwise 0",
    }),
    eab_kid: z
      .string()
      .regex(/^[\x21-\x7e]{1,512}$/)
      .optional()
      .meta({
        description: "Key identifier of the account that you have with the authority, where it wants one (external account binding).",
        kind: "a key identifier of visible ASCII characters",
      }),
    eab_hmac_file: path()
      .optional()
      .describe("File with the HMAC key that belongs to `eab_kid`, in Base64url, relative to this file; or set `KITTIWAKE_EAB_HMAC`."),
    dns: ownZone,
    rfc2136: dynamicUpdates,
  })
  .prefault({})
  .meta({ description: 'Certificates from an ACME authority, for `issuer = "acme"`.' });
