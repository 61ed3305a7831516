// `kittiwake certs root`: the local authority's certificate, for clients to trust. It is made if need be, so that this works before the
// first run.

import { join } from "node:path";

import { pino } from "pino";

import { LocalCa } from "../../certs/local-ca.ts";
import { configPath, type GlobalOptions, readNodeConfig } from "../config-source.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { printJson, type Terminal } from "../terminal.ts";

export async function printRoot(options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  const { dataDir } = readNodeConfig(configPath(options, terminal), ["data_dir"]);
  const log = pino({ level: "warn", base: null }, pino.destination({ dest: 2, sync: true }));
  const { rootPem } = await LocalCa.open(join(dataDir, "ca"), { log });
  if (options.json === true) printJson(terminal, { root_pem: rootPem });
  else terminal.print(rootPem.trimEnd());
  return EXIT.ok;
}
