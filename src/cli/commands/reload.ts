// `kittiwake reload`: has the running node read its configuration anew. Prints what has changed, or why nothing did.

import type { GlobalOptions } from "../config-source.ts";
import { connect } from "../connect.ts";
import { describeReload } from "../describe-reload.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";

export async function reload(options: GlobalOptions): Promise<ExitCode> {
  await using client = connect(options);
  const result = await client.reload();
  if (options.json === true) console.log(JSON.stringify(result, null, 2));
  else if (result.applied) console.log(describeReload(result).join("\n"));
  else console.error(describeReload(result).join("\n"));
  return result.applied ? EXIT.ok : EXIT.invalid;
}
