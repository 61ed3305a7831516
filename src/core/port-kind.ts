// What is spoken first on a public port. A client cannot say what it means before that, so all apps on one port have to agree on it.

import type { Service, ServicePort } from "./app.ts";

/**
 * - http: plain HTTP; the Host header tells apps apart
 * - tls: TLS, and in it HTTP or anything else; the name in the handshake tells apps apart
 * - pg_tls: Postgres' request for TLS, then as tls
 * - tcp, udp: bytes that nobody here understands, so that a port is for one app
 */
export type PortKind = "http" | "tls" | "pg_tls" | "tcp" | "udp";

export function portKind(protocol: Service["protocol"], { handlers, rules }: Pick<ServicePort, "handlers" | "rules">): PortKind {
  if (protocol === "udp") return "udp";
  if (handlers.includes("pg_tls")) return "pg_tls";
  if (handlers.includes("tls") || rules.isPassedThrough) return "tls";
  return handlers.includes("http") ? "http" : "tcp";
}
