// Where a request for a URL would go, and why: `GET /explain?url=https://hello.example/&region=nrt`.

import type { FastifyInstance } from "fastify";

import { ProxyError } from "../../core/errors.ts";
import type { NodeControl } from "../control.ts";
import { snakeCased } from "../snake-case.ts";

export function addExplainRoute(server: FastifyInstance, control: NodeControl): void {
  server.get<{ Querystring: { url?: unknown; region?: unknown } }>("/explain", ({ query: { url, region } }) => {
    if (typeof url !== "string") throw new ProxyError("bad_request", "expected one url, such as /explain?url=https://hello.localhost/");
    if (region !== undefined && typeof region !== "string") throw new ProxyError("bad_request", "expected at most one region");
    return snakeCased(control.explain(url, region ?? null));
  });
}
