// The metrics of the whole node, for Prometheus.

import type { FastifyInstance } from "fastify";

import type { NodeControl } from "../control.ts";

export function addMetricsRoute(server: FastifyInstance, control: NodeControl): void {
  server.get("/metrics", async (_request, reply) => {
    const { contentType, text } = await control.metrics();
    return reply.type(contentType).send(text);
  });
}
