// Runs one of the load generators that are programs of ours (in this folder): options as JSON in the only argument, results as JSON on stdout.

import { fileURLToPath } from "node:url";
import { runLoad } from "../measure.ts";
import type { LoadResult } from "./result.ts";

export async function runOwnLoad(name: string, options: object, timeoutSeconds?: number): Promise<LoadResult> {
  const out = await runLoad([process.execPath, fileURLToPath(new URL(name, import.meta.url)), JSON.stringify(options)], timeoutSeconds);
  return JSON.parse(out) as LoadResult;
}
