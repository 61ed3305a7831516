// `kittiwake reload`: has the running node read its configuration anew. Prints what has changed, or why nothing did.

import type { GlobalOptions } from "../config-source.ts";
import { connect } from "../connect.ts";
import { describeReload } from "../describe-reload.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { printJson, type Terminal } from "../terminal.ts";

export async function reload(options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const result = await client.reload();
  if (options.json === true) printJson(terminal, result);
  else if (result.applied) terminal.print(describeReload(result).join("\n"));
  else terminal.complain(describeReload(result).join("\n"));
  return result.applied ? EXIT.ok : EXIT.invalid;
}
