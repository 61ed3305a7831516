// Finds the node that a command talks to: the one named with --admin, else the one of the configuration, else the usual address.

import { AdminClient } from "../admin/client.ts";
import { ProxyError } from "../core/errors.ts";
import type { GlobalOptions } from "./config-source.ts";
import type { Terminal } from "./terminal.ts";

const USUAL_URL = "http://127.0.0.1:4280";

/** Where a node that listens everywhere can be asked from here. */
const REACHABLE: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Throws `config_invalid` when the configuration does not say where the node is. */
export async function connect(options: GlobalOptions, terminal: Terminal): Promise<AdminClient> {
  // Never on the command line, where every user of the machine could read it.
  const token = terminal.env["KITTIWAKE_TOKEN"] ?? null;
  if (options.admin !== undefined) return new AdminClient({ url: checkedUrl(options.admin), token });
  // Reading a configuration takes longer than asking a node.
  const { configPathOrNull, readNodeConfig } = await import("./config-source.ts");
  const path = configPathOrNull(options, terminal);
  if (path === null) return new AdminClient({ url: USUAL_URL, token });
  const { admin } = readNodeConfig(path, ["admin"]);
  const { host, port } = admin.listen;
  if (port === 0)
    throw new ProxyError("config_invalid", `${path} gives the admin API any free port; name the node with --admin http://HOST:PORT`);
  const reachable = REACHABLE[host] ?? host;
  return new AdminClient({ url: `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`, token: token ?? admin.token });
}

/** Private keys go over a network only where it is encrypted. Throws `bad_request`. */
export function refusePlainWay(url: string): void {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  if (protocol === "https:" || host === "localhost" || host === "::1" || /^127\./.test(host)) return;
  throw new ProxyError(
    "bad_request",
    `a private key would go to ${url} without encryption; run this on the node itself, or through ssh -L 4280:localhost:4280 with --admin http://127.0.0.1:4280`,
  );
}

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && (url.protocol === "http:" || url.protocol === "https:")) return text;
  throw new ProxyError("bad_request", `expected --admin http://HOST:PORT, got ${JSON.stringify(text)}`);
}
