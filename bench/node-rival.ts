// Starts a rival that is a library for Node: a small server of ours around it (servers/), on the same Node as Kittiwake.

import type { BenchCertificate } from "./certificate.ts";
import type { RunningContestant } from "./contestant.ts";
import { PROXY_CORE, startProgram } from "./measure.ts";

/** @param path a program that takes the backend's port, the certificate and its key, and prints `ready <http port> <https port>` */
export async function startNodeRival(
  path: string,
  backendPort: number,
  { certificatePath, keyPath }: BenchCertificate,
): Promise<RunningContestant> {
  const program = await startProgram(PROXY_CORE, [path, String(backendPort), certificatePath, keyPath], /^ready /);
  const [, httpPort, httpsPort] = program.ready.split(" ").map(Number);
  return { ...program, httpPort: httpPort!, httpsPort: httpsPort! };
}
