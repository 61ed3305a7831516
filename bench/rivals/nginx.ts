// nginx as Debian packages it, with nginx.conf. Its worker is a child of the process that is started.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fill, findProgram, freePorts, type Contestant } from "../contestant.ts";
import { PROXY_CORE, startServer } from "../measure.ts";

const TEMPLATE = readFileSync(new URL("nginx.conf", import.meta.url), "utf8");

export const nginx: Contestant = {
  name: "nginx",
  isCompiledLate: false,
  missing: () => (findProgram("nginx") === null ? 'the Debian package "nginx-light"' : null),
  start: async (backendPort, { dir, certificatePath, keyPath }) => {
    const ports = await freePorts();
    const config = join(dir, "nginx.conf");
    const files = { DIR: dir, CERTIFICATE: certificatePath, KEY: keyPath };
    writeFileSync(config, fill(TEMPLATE, { ...files, HTTP: ports.httpPort, HTTPS: ports.httpsPort, BACKEND: backendPort }));
    const command = [findProgram("nginx")!, "-p", dir, "-e", "stderr", "-c", config];
    const program = await startServer(PROXY_CORE, command, ports.httpPort);
    return { ...program, ...ports };
  },
};
