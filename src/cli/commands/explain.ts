// `kittiwake explain URL`: which machines a request could reach, why each is in or out, and what would happen to it.

import type { AdminClient } from "../../admin/client.ts";
import type { GlobalOptions } from "../config-source.ts";
import { connect } from "../connect.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatMs, formatTable, printable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

export interface ExplainOptions extends GlobalOptions {
  /** Region in which the request comes in; the node's if there is none. */
  readonly from?: string;
  /** Address of the client. */
  readonly client?: string;
  /** Of the request; GET if there is none. */
  readonly method?: string;
  /** Of the request, as `name: value`. */
  readonly header?: readonly string[];
  /** Regions and machines that are taken as down. */
  readonly down?: readonly string[];
  /** Machines that are taken to have so many in flight, as `hello/ams=30`. */
  readonly load?: readonly string[];
}

type Explanation = Awaited<ReturnType<AdminClient["explain"]>>;

export async function explain(url: string, options: ExplainOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const { from, client: address, method, header = [], down = [], load = [] } = options;
  const explanation = await client.explain(url, [
    ...(from === undefined ? [] : [["region", from] as const]),
    ...(address === undefined ? [] : [["client", address] as const]),
    ...(method === undefined ? [] : [["method", method] as const]),
    ...header.map((text) => ["header", text] as const),
    ...down.map((text) => ["down", text] as const),
    ...load.map((text) => ["load", text] as const),
  ]);
  if (options.json === true) printJson(terminal, explanation);
  else terminal.print(describe(explanation).join("\n"));
  return EXIT.ok;
}

function describe(explanation: Explanation): string[] {
  const { url, region, app, public_port: publicPort, service, internal_port: internalPort, candidates, outcome } = explanation;
  const chosen = "machine" in outcome ? outcome.machine : null;
  const rows = candidates.map((machine) => [
    machine.id === chosen ? ">" : "",
    machine.name,
    machine.region,
    `${formatMs(machine.rtt_ms)} ${machine.rtt_source}`,
    machine.state,
    machine.health,
    machine.in_flight,
    machine.soft_limit,
    machine.hard_limit ?? "none",
    machine.eligible ? "in" : "out",
    machine.reason,
  ]);
  return [
    `${printable(url)} from ${region}`,
    `app ${app}, public port ${publicPort}${service === null ? "" : `, service ${service} (internal port ${internalPort})`}`,
    ...(explanation.redirects_to_https ? ["answered with 301 to HTTPS; what follows is for the request after that"] : []),
    ...explanation.rules.filter(({ rule }) => rule !== "host").map(({ rule, verdict }) => `${rule}: ${printable(verdict)}`),
    ...(rows.length === 0
      ? []
      : ["", formatTable(["", "NAME", "REGION", "RTT", "STATE", "HEALTH", "IN FLIGHT", "SOFT", "HARD", "", "WHY"], rows)]),
    "",
    conclusion(explanation),
  ];
}

function conclusion({ app, candidates, outcome }: Explanation): string {
  const { reason } = outcome;
  if (outcome.action === "wait") return `the request waits for a place: ${reason}`;
  if (outcome.action === "refuse") return `the request is refused with ${outcome.code}: ${reason}`;
  const name = candidates.find(({ id }) => id === outcome.machine)?.name ?? outcome.machine;
  return outcome.action === "forward" ? `${app}/${name} gets the request: ${reason}` : `${app}/${name} is woken for the request: ${reason}`;
}
