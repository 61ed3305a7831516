// Is the node alive, and does it take traffic? For load balancers and container engines; needs no token.

import type { FastifyInstance } from "fastify";

import type { NodeControl } from "../control.ts";

export function addHealthRoutes(server: FastifyInstance, control: NodeControl): void {
  server.get("/healthz", () => ({ status: "ok" }));

  server.get("/readyz", (_request, reply) => {
    const ready = control.isReady();
    return reply.code(ready ? 200 : 503).send({ status: ready ? "ok" : "not ready" });
  });
}
