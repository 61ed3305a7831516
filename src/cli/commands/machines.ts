// `kittiwake machines list|start|stop|suspend`: the machines of the running node.

import type { AdminClient, MachineAction } from "../../admin/client.ts";
import { formatDuration } from "../../core/duration.ts";
import { ProxyError } from "../../core/errors.ts";
import type { GlobalOptions } from "../config-source.ts";
import { connect } from "../connect.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatTable, printable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

type Machine = Awaited<ReturnType<AdminClient["machine"]>>;

/** @param app null: those of all apps */
export async function listMachines(app: string | null, options: GlobalOptions, terminal: Terminal): Promise<ExitCode> {
  await using client = await connect(options, terminal);
  const names = app === null ? (await client.apps()).map(({ name }) => name) : [app];
  const machines = (await Promise.all(names.map((name) => client.machines(name)))).flat();
  if (options.json === true) printJson(terminal, machines);
  else terminal.print(formatTable(["APP", "NAME", "ID", "REGION", "STATE", "FOR", "HEALTH", "IN FLIGHT", "REASON"], machines.map(toRow)));
  return EXIT.ok;
}

/**
 * Resolves when it is done.
 *
 * @param target an app and a machine's id or name, as two words or as `app/machine`
 */
export async function changeMachine(
  action: MachineAction,
  target: readonly string[],
  options: GlobalOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const [app, name] = parseTarget(action, target);
  await using client = await connect(options, terminal);
  await client.act(action, app, name);
  const machine = await client.machine(app, name);
  if (options.json === true) printJson(terminal, machine);
  else terminal.print(`${app}/${printable(machine.name)} is ${machine.state}`);
  return EXIT.ok;
}

function parseTarget(action: MachineAction, target: readonly string[]): [app: string, machine: string] {
  const [app, machine, ...rest] = target.length === 1 ? target[0]!.split("/") : target;
  if (app && machine && rest.length === 0) return [app, machine];
  throw new ProxyError(
    "bad_request",
    `expected an app and a machine, such as kittiwake machines ${action} hello/ams; got "${target.join(" ")}"`,
  );
}

function toRow({ name, id, region, state, updated_at: updatedAt, kittiwake }: Machine): (string | number)[] {
  const forMs = Math.max(0, Math.floor((Date.now() - Date.parse(updatedAt)) / 1000) * 1000);
  const health = state === "started" ? kittiwake.health : "-";
  return [kittiwake.app, name, id, region, state, formatDuration(forMs), health, kittiwake.in_flight, kittiwake.reason];
}
