// What only shows when all apps of a node are seen together: names, host names, machine ids and ports that two of them claim.

import type { App } from "../core/app.ts";
import { portKind, type PortKind } from "../core/port-kind.ts";
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
  reportSharedPorts(apps);
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

/** Ports on which a client cannot say which app it means, and those on which it could not say it in one way. */
function reportSharedPorts(apps: readonly LoadedApp[]): void {
  const earlier: PlacedPort[] = [];
  for (const placed of apps.flatMap(placedPorts)) {
    const other = earlier.find((one) => overlaps(one, placed) && isConflict(one, placed));
    if (other !== undefined) {
      const shared = Math.max(other.start, placed.start);
      const place = other.findings.placeOf(other.path);
      const message =
        other.kind === placed.kind
          ? `port ${shared} is at ${place} already, and without TLS or HTTP nothing tells two apps on one port apart`
          : `port ${shared} is for ${KIND_NAMES[other.kind]} at ${place} already, and cannot be for ${KIND_NAMES[placed.kind]} as well`;
      placed.findings.error(placed.path, message);
    }
    earlier.push(placed);
  }
}

interface PlacedPort {
  readonly start: number;
  readonly end: number;
  readonly kind: PortKind;
  readonly app: App;
  readonly findings: Findings;
  readonly path: KeyPath;
}

const KIND_NAMES: Readonly<Record<PortKind, string>> = { http: "plain HTTP", tls: "TLS", pg_tls: "Postgres", tcp: "raw TCP", udp: "UDP" };

function placedPorts({ app, document, findings }: LoadedApp): PlacedPort[] {
  return documentServices(document).flatMap((placed, index) => {
    const { protocol, ports } = app.services[index]!;
    return ports.flatMap((port, at): PlacedPort[] => {
      const path = portPath(placed, at);
      const isWrong = ["port", "start_port", "end_port", "handlers"].some((key) => findings.hasErrorAt([...path, key]));
      return isWrong ? [] : [{ start: port.start, end: port.end, kind: portKind(protocol, port), app, findings, path }];
    });
  });
}

function overlaps(one: PlacedPort, other: PlacedPort): boolean {
  return (one.kind === "udp") === (other.kind === "udp") && one.start <= other.end && other.start <= one.end;
}

/** Two of one app are its own affair, and get a warning elsewhere. */
function isConflict(one: PlacedPort, other: PlacedPort): boolean {
  return one.kind !== other.kind || ((one.kind === "tcp" || one.kind === "udp") && one.app !== other.app);
}

/** A public port without an entry in [edge] ports is bound as it is, where another public port may be bound already. */
function reportBoundPorts(apps: readonly LoadedApp[], edge: EdgeConfig): void {
  const mapped = Object.entries(edge.ports).map(([publicPort, bound]) => ({ publicPort: Number(publicPort), bound }));
  for (const { start, end, findings, path } of apps.flatMap(placedPorts)) {
    for (const { publicPort, bound } of mapped) {
      if (bound < start || bound > end || publicPort === bound || Object.hasOwn(edge.ports, bound)) continue;
      const message = `public port ${bound} cannot be bound as ${bound}: that is where public port ${publicPort} is; give it another in [edge] ports`;
      findings.error(path, message);
    }
  }
}
