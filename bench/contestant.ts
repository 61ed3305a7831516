// Whoever takes part in a benchmark: Kittiwake, and what others would use in its place. One file each in rivals/, all started in the same way:
// pinned to the proxies' core, in front of the same backend, with the same certificate, no access log, forwarded headers on.

import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import type { Program } from "./measure.ts";
import type { BenchCertificate } from "./certificate.ts";

export interface RunningContestant extends Program {
  readonly httpPort: number;
  /** HTTP/2 too, by ALPN, where it can. */
  readonly httpsPort: number;
}

export interface Contestant {
  readonly name: string;
  /** A compiler works on it while it runs, so that it needs longer to warm up. */
  readonly isCompiledLate: boolean;
  /** What has to be there for it to run, or null when all is; such as `the Debian package "caddy"`. */
  missing(): string | null;
  /** @param workers for those that have threads of their own for that; default: one, as there is one core to each */
  start(backendPort: number, certificate: BenchCertificate, workers?: number): Promise<RunningContestant>;
}

/** The path of a program that is installed; null where it is not. Debian keeps servers where a user's PATH does not look. */
export function findProgram(name: string): string | null {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return directories.map((directory) => join(directory, name)).find(isExecutable) ?? null;
}

/** For those that cannot bind port 0 and say which they got. */
export async function freePorts(): Promise<{ readonly httpPort: number; readonly httpsPort: number }> {
  const servers = [createServer(), createServer()];
  await Promise.all(servers.map((server) => once(server.listen(0, "127.0.0.1"), "listening")));
  const [httpPort, httpsPort] = servers.map((server) => (server.address() as AddressInfo).port) as [number, number];
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return { httpPort, httpsPort };
}

/** Fills `@NAME@` in a configuration. */
export function fill(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replace(/@(\w+)@/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the configuration has @${name}@, for which there is no value`);
    return String(value);
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
