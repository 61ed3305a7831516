// What only shows when all apps of a node are seen together: names, host names, machine ids and ports that two of them claim.

import type { App } from "../core/app.ts";
import type { Findings } from "./findings.ts";
import { documentServices, portPath } from "./fly-services.ts";
import type { FlyDocument } from "./fly-toml.ts";
import type { EdgeConfig } from "./node-config.ts";
import { formatValue } from "./problems.ts";
import type { KeyPath } from "./problems.ts";

/** An app with where it came from; its findings may have errors already. */
export interface LoadedApp {
  readonly app: App;
  readonly document: FlyDocument;
  readonly findings: Findings;
}

/** Reports every conflict at the later place, naming the earlier one. */
export function reportConflicts(apps: readonly LoadedApp[], edge: EdgeConfig): void {
  const names = new Claims("app");
  const hostnames = new Claims("host name");
  const ids = new Claims("machine id");
  for (const { app, document, findings } of apps) {
    names.claim(app.name, findings, ["app"]);
    hostnames.claim(app.hostnames[0]!, findings, ["app"]);
    for (const [index, hostname] of document.kittiwake.hostnames.entries()) {
      hostnames.claim(hostname, findings, ["kittiwake", "hostnames", index]);
    }
    for (const [index, { id }] of document.kittiwake.machines.entries()) {
      if (id !== undefined) ids.claim(id, findings, ["kittiwake", "machines", index, "id"]);
    }
  }
  reportBoundPorts(apps, edge);
}

class Claims {
  readonly #what: string;
  readonly #first = new Map<string, { findings: Findings; path: KeyPath }>();

  constructor(what: string) {
    this.#what = what;
  }

  claim(value: string, findings: Findings, path: KeyPath): void {
    if (findings.hasErrorAt(path)) return;
    const first = this.#first.get(value);
    if (first === undefined) this.#first.set(value, { findings, path });
    else if (first.findings === findings) findings.warning(path, `${this.#what} ${formatValue(value)} is the app's already`);
    else findings.error(path, `${this.#what} ${formatValue(value)} is at ${first.findings.placeOf(first.path)} already`);
  }
}

/** A public port without an entry in [edge] ports is bound as it is, where another public port may be bound already. */
function reportBoundPorts(apps: readonly LoadedApp[], edge: EdgeConfig): void {
  const publicPortAt = new Map(Object.entries(edge.ports).map(([publicPort, bound]) => [bound, Number(publicPort)]));
  for (const { app, document, findings } of apps) {
    for (const [index, placed] of documentServices(document).entries()) {
      for (const [at, { start }] of app.services[index]!.ports.entries()) {
        const other = publicPortAt.get(start);
        if (other === undefined || other === start || Object.hasOwn(edge.ports, start)) continue;
        const message = `public port ${start} cannot be bound as ${start}: that is where public port ${other} is; give it another in [edge] ports`;
        findings.error(portPath(placed, at), message);
      }
    }
  }
}
