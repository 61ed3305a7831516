// Caddy as Debian packages it, with the Caddyfile. Pinned to one core it runs its goroutines on one thread at a time.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HOST } from "../certificate.ts";
import { fill, findProgram, freePorts, type Contestant } from "../contestant.ts";
import { PROXY_CORE, startServer } from "../measure.ts";

const TEMPLATE = readFileSync(new URL("Caddyfile", import.meta.url), "utf8");

export const caddy: Contestant = {
  name: "Caddy",
  isCompiledLate: false,
  missing: () => (findProgram("caddy") === null ? 'the Debian package "caddy"' : null),
  start: async (backendPort, { dir, certificatePath, keyPath }) => {
    const ports = await freePorts();
    const config = join(dir, "Caddyfile");
    const files = { HOST, CERTIFICATE: certificatePath, KEY: keyPath };
    writeFileSync(config, fill(TEMPLATE, { ...files, HTTP: ports.httpPort, HTTPS: ports.httpsPort, BACKEND: backendPort }));
    const command = [findProgram("caddy")!, "run", "--adapter", "caddyfile", "--config", config];
    const program = await startServer(PROXY_CORE, command, ports.httpPort, { HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir });
    return { ...program, ...ports };
  },
};
