// Rules about where an app's machines are: regions that exist, ids and addresses that fit the driver, a minimum that can be kept.

import { closest, distance } from "fastest-levenshtein";

import type { App } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import { documentServices } from "./fly-services.ts";
import type { FlyDocument } from "./fly-toml.ts";
import { formatValue } from "./problems.ts";
import type { KeyPath } from "./problems.ts";

/** Reports what is wrong with the machines of an app. */
export function checkMachines(document: FlyDocument, app: App, findings: Findings, regions: ReadonlySet<string>): void {
  checkRegions(document, findings, regions);
  checkGivenMachines(document, app, findings);
  if (app.driver === "static") checkStatic(document, app, findings);
  else checkMinimum(document, app, findings);
}

/** The message for a region code that is in no table. */
export function unknownRegion(code: string, known: ReadonlySet<string>): string {
  const near = closest(code, [...known]);
  const hint = distance(code, near) <= 1 ? `did you mean ${formatValue(near)}?` : "the region file can add it";
  return `expected the code of a region, got ${formatValue(code)}; ${hint}`;
}

function checkRegions(document: FlyDocument, findings: Findings, known: ReadonlySet<string>): void {
  check(["primary_region"], document.primary_region);
  for (const { path, service } of documentServices(document)) {
    for (const [index, code] of (service.regions ?? []).entries()) check([...path, "regions", index], code);
  }
  for (const [index, { region }] of document.kittiwake.machines.entries()) check(["kittiwake", "machines", index, "region"], region);

  function check(path: KeyPath, code: string | undefined): void {
    if (code !== undefined && !known.has(code)) findings.error(path, unknownRegion(code, known));
  }
}

function checkGivenMachines(document: FlyDocument, app: App, findings: Findings): void {
  const groupNames = app.groups.map((group) => group.name);
  const places = new Map<string, KeyPath>();
  for (const [index, { id, address, group }] of document.kittiwake.machines.entries()) {
    const path = ["kittiwake", "machines", index];
    if (group !== undefined && !groupNames.includes(group)) {
      findings.error([...path, "group"], `expected a process group (${groupNames.join(", ")}), got ${formatValue(group)}`);
    }
    if (app.driver === "static" && address === undefined) {
      findings.error([...path, "address"], 'missing; driver "static" needs one for each machine');
    }
    if (app.driver !== "static" && address !== undefined) {
      findings.error(
        [...path, "address"],
        `driver ${formatValue(app.driver)} finds the address itself; remove it, or set driver = "static"`,
      );
    }
    const earlier = id === undefined ? undefined : places.get(id);
    if (earlier !== undefined) findings.error([...path, "id"], `${formatValue(id)} is at ${findings.placeOf(earlier)} already`);
    else if (id !== undefined) places.set(id, [...path, "id"]);
  }
}

function checkStatic(document: FlyDocument, app: App, findings: Findings): void {
  const given = new Set(document.kittiwake.machines.map(({ group = app.groups[0]!.name }) => group));
  const without = app.groups.filter(({ name }) => !given.has(name)).map(({ name }) => formatValue(name));
  if (without.length > 0) {
    findings.error(
      ["kittiwake", "machines"],
      `driver "static" needs a machine for each process group; there is none for ${without.join(", ")}`,
    );
  }
  for (const { path, service } of documentServices(document)) {
    if (service.auto_stop_machines !== "off") findings.warning([...path, "auto_stop_machines"], 'driver "static" cannot stop machines');
    if (service.regions !== undefined) findings.warning([...path, "regions"], "[[kittiwake.machines]] says where the machines are");
  }
}

function checkMinimum(document: FlyDocument, app: App, findings: Findings): void {
  for (const [index, { path }] of documentServices(document).entries()) {
    const service = app.services[index]!;
    if (service.autoStop === "off" || service.minMachinesRunning === 0) continue;
    for (const group of service.groups) {
      const placed = app.machines.filter((machine) => machine.group === group && machine.region === app.primaryRegion).length;
      if (placed >= service.minMachinesRunning) continue;
      const where = `${formatValue(group)} has ${placed} in the primary region ${formatValue(app.primaryRegion)}`;
      findings.warning([...path, "min_machines_running"], `${service.minMachinesRunning} cannot be kept running: process group ${where}`);
    }
  }
}
