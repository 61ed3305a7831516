// HTTP/1.1 keep-alive by wrk: as many requests as the proxy takes, one at a time on each connection. It costs the load's core less than a
// generator in Node, so that the proxy is what is short of time.

import { fileURLToPath } from "node:url";
import { HOST } from "../certificate.ts";
import { runLoad } from "../measure.ts";
import type { LoadResult } from "./result.ts";

export interface WrkOptions {
  readonly scheme: "http" | "https";
  readonly port: number;
  readonly path?: string;
  readonly connections: number;
  readonly seconds: number;
  /** Sent with each request; default: none, and a GET. */
  readonly bodyBytes?: number;
}

const SCRIPT = fileURLToPath(new URL("wrk.lua", import.meta.url));

export async function wrk({ scheme, port, path = "/", connections, seconds, bodyBytes = 0 }: WrkOptions): Promise<LoadResult> {
  const options = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "10s", "-s", SCRIPT];
  const out = await runLoad(["wrk", ...options, `${scheme}://${HOST}:${port}${path}`, "--", String(bodyBytes)]);
  const line = out.split("\n").find((each) => each.startsWith("{")) ?? "{}";
  const { failed, ...result } = JSON.parse(line) as LoadResult & { readonly failed: number };
  if (failed !== 0) throw new Error(`wrk: ${failed} of ${result.count} requests failed`);
  return result;
}
