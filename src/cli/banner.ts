// What a node that has just started tells the people in front of it: where its apps are, and what to type to see them.

import type { UsableConfig } from "../config/load.ts";
import type { Node } from "../start-node.ts";
import { formatTable } from "./table.ts";

export interface BannerOptions {
  readonly version: string;
  readonly config: UsableConfig;
  readonly listeners: Node["listeners"];
  readonly adminUrl: string;
  /** What a command needs to find this node's configuration: empty, or ` --config PATH`. */
  readonly configFlag: string;
}

/** Several lines, without a line break at the end. */
export function formatBanner({ version, config, listeners, adminUrl, configFlag }: BannerOptions): string {
  const { node, region } = config.node;
  const https = mainListener(listeners, "https");
  const apps = config.apps.map(({ name, hostnames, machines }): [string, string, string] => {
    const regions = [...new Set(machines.map((machine) => machine.region))];
    return [name, https === undefined ? hostnames[0]! : httpsUrl(hostnames[0]!, https.port), regions.join(", ")];
  });
  const isLocal = (hostname: string): boolean => config.node.tls.issuer === "internal" || hostname.endsWith(".localhost");
  const commands = config.apps.map(({ hostnames: [hostname] }) => {
    if (https === undefined) return "";
    return curlCommand(hostname!, https, isLocal(hostname!) ? `--cacert <(npx kittiwake certs root${configFlag}) ` : "");
  });
  return [
    `kittiwake ${version}: node ${node} in region ${region}, admin API at ${adminUrl}`,
    "",
    apps.length === 0 ? "no app is configured yet" : formatTable(["APP", "URL", "REGIONS"], apps),
    ...(commands.length === 0 ? [] : ["", "Try:", ...commands.map((command) => `  ${command}`)]),
    "",
  ].join("\n");
}

/** `ready http=127.0.0.1:8080 https=127.0.0.1:8443 admin=127.0.0.1:4280`: for programs that wait for it. */
export function formatReady(listeners: Node["listeners"], adminUrl: string): string {
  const parts = (["http", "https"] as const).flatMap((scheme) => {
    const listener = mainListener(listeners, scheme);
    return listener === undefined ? [] : [`${scheme}=${bracketed(listener.host)}:${listener.port}`];
  });
  return ["ready", ...parts, `admin=${new URL(adminUrl).host}`].join(" ");
}

type Listener = Node["listeners"][number];

/** The one on the usual public port; on the first bind address where there are several. */
function mainListener(listeners: Node["listeners"], scheme: Listener["scheme"]): Listener | undefined {
  return listeners.find((listener) => listener.scheme === scheme && listener.publicPort === (scheme === "http" ? 80 : 443));
}

function httpsUrl(hostname: string, port: number): string {
  return `https://${hostname}${port === 443 ? "" : `:${port}`}/`;
}

function curlCommand(hostname: string, { host, port }: Listener, trust: string): string {
  // Names below localhost are this machine's everywhere (RFC 6761); others may not be in DNS yet.
  const address = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  const resolve = hostname.endsWith(".localhost") ? "" : `--resolve ${hostname}:${port}:${bracketed(address)} `;
  return `curl ${trust}${resolve}${httpsUrl(hostname, port)}`;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
