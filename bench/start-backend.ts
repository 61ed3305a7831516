// The backend of a benchmark, on the load's core.

import { fileURLToPath } from "node:url";
import { LOAD_CORE, startProgram, type Program } from "./measure.ts";

export interface Backend extends Program {
  readonly port: number;
}

export async function startBackend(): Promise<Backend> {
  const program = await startProgram(LOAD_CORE, [fileURLToPath(new URL("backend.ts", import.meta.url))], /^ready /);
  return { ...program, port: Number(program.ready.split(" ")[1]) };
}
