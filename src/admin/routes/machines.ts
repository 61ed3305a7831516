// Machines of an app: list, look at, start, stop and suspend, as Fly's Machines API has them (reference sections 9.2, 9.3). A machine is
// named by its id, or by its short name. Unlike Fly's, `start` answers once the machine runs.

import type { FastifyInstance } from "fastify";

import { ProxyError } from "../../core/errors.ts";
import type { MachineRecord } from "../../core/machine.ts";
import type { NodeControl } from "../control.ts";
import { type MachineObject, machineObject } from "../machine-object.ts";
import { findApp } from "./apps.ts";

type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

export function addMachineRoutes(server: FastifyInstance, control: NodeControl): void {
  server.get<{ Params: { app: string }; Querystring: Query }>("/v1/apps/:app/machines", ({ params, query }) => {
    const objects = machinesOf(control, params.app).map((record) => toObject(control, record));
    return objects.filter(createFilter(query));
  });

  server.get<{ Params: MachineParams }>("/v1/apps/:app/machines/:id", ({ params }) => toObject(control, findMachine(control, params)));

  server.post<{ Params: MachineParams }>("/v1/apps/:app/machines/:id/start", async ({ params }) => {
    const { id, state } = findMachine(control, params);
    await control.start(params.app, id);
    return { previous_state: state, migrated: false, new_host: "" };
  });

  server.post<{ Params: MachineParams; Body: unknown }>("/v1/apps/:app/machines/:id/stop", async ({ params, body }) => {
    const { id } = findMachine(control, params);
    refuseStopOptions(body);
    await control.stop(params.app, id);
    return { ok: true };
  });

  server.post<{ Params: MachineParams }>("/v1/apps/:app/machines/:id/suspend", async ({ params }) => {
    await control.suspend(params.app, findMachine(control, params).id);
    return { ok: true };
  });
}

interface MachineParams {
  readonly app: string;
  /** Or name. */
  readonly id: string;
}

function machinesOf(control: NodeControl, app: string): readonly MachineRecord[] {
  return control.machines(findApp(control, app).name);
}

/** An id comes before a name, so that a machine which is named like another one's id can still be told apart. */
function findMachine(control: NodeControl, { app, id }: MachineParams): MachineRecord {
  const machines = machinesOf(control, app);
  const machine = machines.find((record) => record.id === id) ?? machines.find((record) => record.name === id);
  if (machine === undefined) throw new ProxyError("machine_not_found", `app "${app}" has no machine ${JSON.stringify(id)}`);
  return machine;
}

function toObject(control: NodeControl, record: MachineRecord): MachineObject {
  return machineObject(findApp(control, record.app), record, control.inFlight(record.id));
}

/** `region`, `state` (several with commas) and `metadata.<key>`; all that are given must hold. */
function createFilter(query: Query): (machine: MachineObject) => boolean {
  const wanted = (key: string): readonly string[] | null => {
    const value = query[key];
    return value === undefined || value === "" ? null : [value].flat().flatMap((text) => text.split(","));
  };
  const regions = wanted("region");
  const states = wanted("state");
  const metadata = Object.entries(query).filter(([key]) => key.startsWith("metadata."));
  return ({ region, state, config }) =>
    (regions === null || regions.includes(region)) &&
    (states === null || states.includes(state)) &&
    metadata.every(([key, value]) => config.metadata[key.slice("metadata.".length)] === value);
}

/** Taking them without a word would end the machine in another way than was asked. */
function refuseStopOptions(body: unknown): void {
  if (body === undefined || body === null) return;
  if (typeof body !== "object") throw new ProxyError("bad_request", "expected a JSON object");
  const { signal, timeout } = body as { readonly signal?: unknown; readonly timeout?: unknown };
  if (!signal && !timeout) return;
  throw new ProxyError(
    "not_supported",
    "signal and timeout cannot be given for one stop; set kill_signal and kill_timeout in the app's fly.toml",
  );
}
