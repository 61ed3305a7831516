// The certificates of the fleet: list, look at, import, export, delete; and sealing their keys anew. Not a part of Fly's API, which keeps
// them elsewhere. A private key leaves only when it is asked for by name.

import type { FastifyInstance } from "fastify";

import { ProxyError } from "../../core/errors.ts";
import { REVOCATION_REASONS, type CertificateChoice, type NodeControl, type RevocationReason } from "../control.ts";
import { snakeCased } from "../snake-case.ts";

/** A chain of several certificates and a large RSA key. */
const MAX_IMPORT_BYTES = 256 * 1024;

interface Named {
  readonly Params: { readonly name: string };
  readonly Querystring: Readonly<Record<string, unknown>>;
}

/** @param hasToken otherwise every process of this machine gets in, the apps' own among them, and no private key gets out */
export function addCertificateRoutes(server: FastifyInstance, { certificates }: NodeControl, hasToken: boolean): void {
  server.get("/certificates", async () => snakeCased({ certificates: await certificates.list() }));

  server.get<Named>("/certificates/:name", async ({ params }) => snakeCased({ certificates: await certificates.show(params.name) }));

  server.post<{ Body: unknown }>("/certificates", { bodyLimit: MAX_IMPORT_BYTES }, async ({ body }) => {
    const pem = (body as { readonly pem?: unknown } | null | undefined)?.pem;
    if (typeof pem !== "string") throw new ProxyError("bad_request", 'expected {"pem": …} with a certificate and its private key');
    return snakeCased(await certificates.import(pem));
  });

  server.get<Named>("/certificates/:name/export", ({ params, query }) => {
    const withKey = query["private_key"] === "true";
    if (withKey && !hasToken)
      throw new ProxyError("forbidden", "private keys are given out only where the admin API asks for a token; set admin.token_file");
    return snakeCased(certificates.export(choiceOf(params.name, query), withKey));
  });

  server.delete<Named>("/certificates/:name", async ({ params, query }) =>
    snakeCased(await certificates.delete(choiceOf(params.name, query))),
  );

  server.post<Named>("/certificates/:name/renew", async ({ params }) => snakeCased(await certificates.renew(params.name)));

  server.post<Named>("/certificates/:name/revoke", async ({ params, body }) =>
    snakeCased(await certificates.revoke(params.name, reasonOf(body))),
  );

  server.post("/secret/rotate", async () => snakeCased(await certificates.rotateSecret()));
}

function reasonOf(body: unknown): RevocationReason {
  const reason = (body as { readonly reason?: unknown } | null | undefined)?.reason ?? "unspecified";
  if (typeof reason === "string" && Object.hasOwn(REVOCATION_REASONS, reason)) return reason as RevocationReason;
  throw new ProxyError("bad_request", `expected reason to be one of ${Object.keys(REVOCATION_REASONS).join(", ")}`);
}

function choiceOf(name: string, { source }: Named["Querystring"]): CertificateChoice {
  if (source === undefined) return { name, source: null };
  if (source === "acme" || source === "imported") return { name, source };
  throw new ProxyError("bad_request", 'expected source to be "acme" or "imported"');
}
