// HAProxy as Debian packages it, with haproxy.cfg.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fill, findProgram, freePorts, type Contestant } from "../contestant.ts";
import { PROXY_CORE, startServer } from "../measure.ts";

const TEMPLATE = readFileSync(new URL("haproxy.cfg", import.meta.url), "utf8");

export const haproxy: Contestant = {
  name: "HAProxy",
  isCompiledLate: false,
  missing: () => (findProgram("haproxy") === null ? 'the Debian package "haproxy"' : null),
  start: async (backendPort, { dir, bundlePath }) => {
    const ports = await freePorts();
    const config = join(dir, "haproxy.cfg");
    const values = { HTTP: ports.httpPort, HTTPS: ports.httpsPort, BACKEND: backendPort, BUNDLE: bundlePath };
    writeFileSync(config, fill(TEMPLATE, values));
    const program = await startServer(PROXY_CORE, [findProgram("haproxy")!, "-db", "-f", config], ports.httpPort);
    return { ...program, ...ports };
  },
};
