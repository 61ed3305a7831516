// The node itself: how it is, and reading its configuration anew.

import type { FastifyInstance } from "fastify";

import type { NodeControl } from "../control.ts";
import { snakeCased } from "../snake-case.ts";

export function addNodeRoutes(server: FastifyInstance, control: NodeControl): void {
  server.get("/status", () => snakeCased(control.status()));

  server.post("/reload", async (_request, reply) => {
    const result = await control.reload();
    return reply.code(result.applied ? 200 : 422).send(snakeCased(result));
  });
}
