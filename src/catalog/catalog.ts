// What the node knows of its apps and their machines, on the main thread: apps come from the configuration, records from the hosts. Every
// change that matters to a worker becomes a new immutable entry of the app.

import type { App, Service } from "../core/app.ts";
import type { MachineRecord, MachineState } from "../core/machine.ts";
import type { AppEntry, MachineEntry, ServiceEntry } from "./entry.ts";
import type { LoadTable } from "./load-table.ts";
import { Slots } from "./slots.ts";
import { stickyCookie } from "./sticky-cookie.ts";

export interface CatalogOptions {
  readonly load: LoadTable;
  /** Round trip from this edge to a region, in milliseconds. */
  readonly rttMs: (region: string) => number;
  /** How long a wake from a state is expected to take, in whole milliseconds. */
  readonly wakeMs: (app: string, state: MachineState) => number;
  readonly onEntry: (entry: AppEntry) => void;
  readonly onRemoved: (app: string) => void;
  /** The load table has no slot left, so the machine gets no traffic. */
  readonly onFull: (machine: MachineRecord) => void;
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number;
}

interface Known {
  readonly app: App;
  readonly records: Map<string, MachineRecord>;
  /** By machine; as it was when it last changed its state, but for the start that followed. */
  readonly wakeMs: Map<string, number>;
  entry: AppEntry;
  /** The entry as text, to tell whether anything has changed. */
  text: string;
  /** No longer declared, and unknown to the workers; its machines are still being ended. */
  isRetired: boolean;
}

export class Catalog {
  readonly #options: CatalogOptions;
  readonly #slots: Slots;
  readonly #apps = new Map<string, Known>();
  /** By machine id: its slots, one for each service. */
  readonly #machineSlots = new Map<string, Set<number>>();
  /** Of all declared apps; null: to be looked up anew. */
  #hostnames: ReadonlySet<string> | null = null;

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.#slots = new Slots(options.load, options.now);
  }

  get apps(): App[] {
    return this.#declared().map(({ app }) => app);
  }

  app(name: string): App | undefined {
    const known = this.#apps.get(name);
    return known === undefined || known.isRetired ? undefined : known.app;
  }

  get entries(): AppEntry[] {
    return this.#declared().map(({ entry }) => entry);
  }

  /** Does an app declare this host name or wildcard, as it stands? */
  declares(hostname: string): boolean {
    this.#hostnames ??= new Set(this.#declared().flatMap(({ app }) => app.hostnames));
    return this.#hostnames.has(hostname);
  }

  setApp(app: App): void {
    this.#hostnames = null;
    const known = this.#apps.get(app.name);
    const records = known?.records ?? new Map<string, MachineRecord>();
    const wakeMs = known?.wakeMs ?? new Map<string, number>();
    const entry = this.#build(app, records, wakeMs);
    this.#apps.set(app.name, { app, records, wakeMs, entry, text: JSON.stringify(entry), isRetired: false });
    this.#options.onEntry(entry);
  }

  /** The app is no longer declared: no new request reaches it. Its machines keep their slots until `removeApp`. */
  retireApp(name: string): void {
    const known = this.#apps.get(name);
    if (known === undefined || known.isRetired) return;
    known.isRetired = true;
    this.#hostnames = null;
    this.#options.onRemoved(name);
  }

  /** Forgets a retired app, now that its machines have ended; one that was declared again meanwhile stays. */
  removeApp(name: string): void {
    const known = this.#apps.get(name);
    if (known === undefined || !known.isRetired) return;
    this.#apps.delete(name);
    for (const record of known.records.values()) this.#retire(known.app, record.id);
    for (const service of known.app.services) this.#slots.retire(waitKey(known.app, service));
  }

  setMachine(record: MachineRecord): void {
    const known = this.#apps.get(record.app);
    if (known === undefined) return;
    known.records.set(record.id, record);
    if (record.state !== "starting") known.wakeMs.set(record.id, this.#options.wakeMs(record.app, record.state));
    this.#publish(known);
  }

  removeMachine(app: string, id: string): void {
    const known = this.#apps.get(app);
    if (known === undefined || !known.records.delete(id)) return;
    known.wakeMs.delete(id);
    this.#publish(known);
    this.#retire(known.app, id);
  }

  /** Distances have changed: rank everything anew. */
  refresh(): void {
    for (const known of this.#apps.values()) this.#publish(known);
  }

  /** Slots of a machine in the load table, one for each of its services. */
  slotsOf(machineId: string): Iterable<number> {
    return this.#machineSlots.get(machineId) ?? [];
  }

  #declared(): Known[] {
    return [...this.#apps.values()].filter(({ isRetired }) => !isRetired);
  }

  #publish(known: Known): void {
    if (known.isRetired) return;
    const entry = this.#build(known.app, known.records, known.wakeMs);
    const text = JSON.stringify(entry);
    if (text === known.text) return;
    known.entry = entry;
    known.text = text;
    this.#options.onEntry(entry);
  }

  #build(app: App, records: ReadonlyMap<string, MachineRecord>, wakeMs: ReadonlyMap<string, number>): AppEntry {
    const services = app.services.map((service) => this.#service(app, service, records, wakeMs));
    const { name, hostnames, wakeTimeoutMs, warmDetour, regionPolicy, balance, errorPages } = app;
    const { clientAuth, hsts, steering, sticky, primary, access, waitPage, wakeGuard, outliers } = app;
    const routing = { warmDetour, regionPolicy, balance, steering, sticky, primary, waitPage, wakeGuard, outliers };
    return { name, hostnames, services, wakeTimeoutMs, ...routing, errorPages, clientAuth, hsts, access };
  }

  #service(app: App, service: Service, records: ReadonlyMap<string, MachineRecord>, wakeMs: ReadonlyMap<string, number>): ServiceEntry {
    const machines: MachineEntry[] = [];
    for (const record of records.values()) {
      if (!service.groups.includes(record.group)) continue;
      const slot = this.#slots.assign(machineKey(app, service, record.id));
      if (slot === null) {
        this.#options.onFull(record);
        continue;
      }
      this.#remember(record.id, slot);
      const { id, region, health, cordoned } = record;
      const address = record.addresses[service.internalPort] ?? null;
      // It was started for the app as it was before, without this port: its host is about to start it anew.
      const state = record.state === "started" && address === null ? "starting" : record.state;
      const expected = { rttMs: this.#options.rttMs(region), wakeMs: wakeMs.get(id) ?? this.#options.wakeMs(app.name, "created") };
      machines.push({ id, name: record.name, region, address, slot, ...expected, state, health, cordoned });
    }
    return {
      app: app.name,
      key: service.key,
      protocol: service.protocol,
      internalPort: service.internalPort,
      ports: service.ports,
      autoStart: service.autoStart,
      softLimit: service.concurrency.softLimit,
      hardLimit: service.concurrency.hardLimit,
      maxBodyBytes: service.maxBodyBytes,
      reusesConnections: service.concurrency.type === "requests",
      waitSlot: this.#slots.assign(waitKey(app, service)) ?? 0,
      stickyCookie: stickyCookie(app, service),
      machines,
    };
  }

  #remember(machineId: string, slot: number): void {
    let slots = this.#machineSlots.get(machineId);
    if (slots === undefined) this.#machineSlots.set(machineId, (slots = new Set()));
    slots.add(slot);
  }

  #retire(app: App, machineId: string): void {
    for (const service of app.services) this.#slots.retire(machineKey(app, service, machineId));
    this.#machineSlots.delete(machineId);
  }
}

function machineKey(app: App, service: Service, machineId: string): string {
  return `${app.name}/${service.key}/${machineId}`;
}

function waitKey(app: App, service: Service): string {
  return `${app.name}/${service.key}`;
}
