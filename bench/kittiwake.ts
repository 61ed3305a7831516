// Kittiwake as a benchmark runs it: the real command with a configuration of its own, everything at its default but the ports.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Contestant } from "./contestant.ts";
import { PROXY_CORE, startProgram, type Program } from "./measure.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));

export interface BenchNode extends Program {
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly adminUrl: string;
  readonly dir: string;
}

export const kittiwake: Contestant = {
  name: "Kittiwake",
  isCompiledLate: true,
  missing: () => null,
  start: (backendPort, certificate, workers) => startKittiwake({ bench: backendApp(backendPort) }, certificate.root, workers),
};

/** The `fly.toml` of the app `bench`, whose only machine is the backend. */
export function backendApp(backendPort: number): string {
  return `
app = "bench"
primary_region = "ams"
[http_service]
internal_port = 8080
[http_service.concurrency]
type = "requests"
[kittiwake]
hostnames = ["localhost"]
driver = "static"
[[kittiwake.machines]]
id = "bench-1"
region = "ams"
address = "127.0.0.1:${backendPort}"
`;
}

/** @param apps `fly.toml` texts by name; @param files further files of the configuration's directory */
export async function startKittiwake(
  apps: Record<string, string>,
  files: Record<string, string | Buffer> = {},
  workers = 1,
): Promise<BenchNode> {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-bench-"));
  const config = [
    'region = "ams"',
    `workers = ${workers}`,
    'domain = "localhost"',
    'apps = ["apps/*.toml"]',
    "[edge]",
    'bind = ["127.0.0.1"]',
    "ports = { 80 = 0, 443 = 0 }",
    "[admin]",
    'listen = "127.0.0.1:0"',
    "[log]",
    'file = "node.log"',
    'access = "off"',
  ];
  write(join(dir, "kittiwake.toml"), config.join("\n"));
  for (const [name, text] of Object.entries(apps)) write(join(dir, "apps", `${name}.toml`), text);
  for (const [path, text] of Object.entries(files)) write(join(dir, path), text);
  const program = await startProgram(PROXY_CORE, [MAIN, "run", "--config", join(dir, "kittiwake.toml")], /^ready /, false);
  const portOf = (name: string): string | undefined => new RegExp(`\\b${name}=127\\.0\\.0\\.1:(\\d+)`).exec(program.ready)?.[1];
  return {
    ...program,
    dir,
    httpPort: Number(portOf("http")),
    httpsPort: Number(portOf("https")),
    adminUrl: `http://127.0.0.1:${portOf("admin")}`,
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function write(path: string, text: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
