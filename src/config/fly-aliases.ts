// Turns every spelling that Fly's client accepts into the one that the schema has: single tables into lists, old sections into new
// ones, short forms into long ones. Reference section 1.1. Nothing is judged here but what could not be moved otherwise.

import { isTable, Origins, type Table } from "./origins.ts";
import type { KeyPath } from "./problems.ts";

/** Sections that are lists of tables, and the names under which they, or a single table of them, may appear. */
const LIST_SECTIONS: Readonly<Record<string, readonly string[]>> = {
  services: ["services"],
  mounts: ["mount", "mounts"],
  metrics: ["metric", "metrics"],
  vm: ["compute", "computes", "vm"],
  restart: ["restart"],
  statics: ["statics"],
  files: ["files"],
  machine_checks: ["machine_checks"],
};

interface Omission {
  /** As in the file. */
  readonly path: KeyPath;
  readonly message: string;
}

/** A fly.toml under its present names. The source is left as it is. */
export class CanonicalFlyTree {
  readonly tree: Table;
  /** Entries that had to be left out. */
  readonly omissions: Omission[] = [];
  readonly #origins: Origins;

  constructor(source: Table) {
    this.#origins = new Origins(source);
    const tree = (this.tree = this.#origins.copy(source));

    for (const [section, spellings] of Object.entries(LIST_SECTIONS)) this.#joinSpellings(section, spellings);
    change(tree, "experimental", (experimental) => this.#migrate(experimental));
    change(tree, "env", (env) => this.#env(env));
    change(tree, "processes", (processes) => this.#byName(processes, (item) => item["command"] ?? ""));
    change(tree, "checks", (checks) => this.#byName(checks, (item) => this.#without(item, "name")));
    change(tree, "checks", (checks) => this.#mapTable(checks, (check) => this.#probe(check)));
    change(tree, "http_service", (service) => (isTable(service) ? this.#service(service, ["checks"]) : service));
    change(tree, "services", (services) => this.#services(services));
    dropIfEmpty(tree, "kill_timeout");
  }

  /** From a path in `tree` to where that is in the file. */
  asWritten(path: KeyPath): KeyPath {
    return this.#origins.asWritten(this.tree, path);
  }

  /** One list from all spellings of a section that are present. */
  #joinSpellings(section: string, spellings: readonly string[]): void {
    const present = spellings.filter((spelling) => Object.hasOwn(this.tree, spelling));
    if (present.length === 0) return;
    const lists = present.map((spelling) => this.#list(this.tree[spelling], [spelling]));
    for (const spelling of present) delete this.tree[spelling];
    this.tree[section] = lists.length === 1 ? lists[0] : lists.flat();
    this.#origins.move(this.tree, section, [present[0]!]);
  }

  #services(value: unknown): unknown {
    if (!Array.isArray(value)) return value;
    const services = value
      .map((item: unknown) => (isTable(item) ? this.#service(item, ["tcp_checks", "http_checks"]) : item))
      // Fly's client drops empty entries, which some old files have.
      .filter((item) => !isTable(item) || Object.keys(item).length > 0);
    return this.#origins.place(services, this.#origins.of(value));
  }

  #service(table: Table, checkLists: readonly string[]): Table {
    const service = this.#origins.copy(table);
    const path = this.#origins.of(table);
    change(service, "concurrency", (limits) => this.#concurrency(limits, [...path, "concurrency"]));
    for (const key of ["ports", "machine_checks", ...checkLists]) change(service, key, (value) => this.#list(value, [...path, key]));
    for (const key of checkLists) change(service, key, (checks) => this.#mapList(checks, (check) => this.#probe(check)));
    return service;
  }

  /** `"20,25"`: soft and hard limit, always of requests. */
  #concurrency(value: unknown, path: KeyPath): unknown {
    const limits = typeof value === "string" ? /^(\d{1,9}),(\d{1,9})$/.exec(value) : null;
    if (limits === null) return value;
    return this.#origins.place({ type: "requests", soft_limit: Number(limits[1]), hard_limit: Number(limits[2]) }, path);
  }

  #probe(table: Table): Table {
    const check = this.#origins.copy(table);
    for (const key of ["interval", "timeout", "grace_period"]) dropIfEmpty(check, key);
    change(check, "headers", (headers) => this.#byName(headers, (item) => item["value"] ?? ""));
    return check;
  }

  /** [[env]] is allowed; later entries win. A bare date is text here, as every scalar is. */
  #env(value: unknown): unknown {
    const tables: unknown[] = Array.isArray(value) ? value : [value];
    if (!tables.every(isTable)) return value;
    const env = this.#origins.place({} as Table, this.#origins.of(value as object));
    for (const table of tables) {
      for (const [key, item] of Object.entries(table)) {
        define(env, key, item instanceof Date ? item.toJSON() : item);
        this.#origins.move(env, key, [...this.#origins.of(table), key]);
      }
    }
    return env;
  }

  /** What has moved out of [experimental] since; what is at the new place already wins. */
  #migrate(value: unknown): unknown {
    if (!isTable(value)) return value;
    const { kill_timeout: killTimeout, metrics_port: port, metrics_path: path, ...rest } = value;
    if (killTimeout !== undefined && !Object.hasOwn(this.tree, "kill_timeout")) {
      this.tree["kill_timeout"] = killTimeout;
      this.#origins.move(this.tree, "kill_timeout", ["experimental", "kill_timeout"]);
    }
    if (port !== undefined && !Object.hasOwn(this.tree, "metrics")) {
      const metrics: Table = path === undefined ? { port } : { port, path };
      this.#origins.move(metrics, "port", ["experimental", "metrics_port"]);
      this.#origins.move(metrics, "path", ["experimental", "metrics_path"]);
      this.tree["metrics"] = this.#origins.place([metrics], ["experimental", "metrics_port"]);
    }
    return Object.keys(rest).length === 0 ? undefined : this.#origins.place(rest, this.#origins.of(value));
  }

  /** A list of tables that each have a name, as a table by name. */
  #byName(list: unknown, toValue: (item: Table) => unknown): unknown {
    if (!Array.isArray(list)) return list;
    const table = this.#origins.place({} as Table, this.#origins.of(list));
    list.forEach((item: unknown, index) => {
      const path = [...this.#origins.of(list), index];
      const name = isTable(item) ? item["name"] : undefined;
      if (!isTable(item)) return this.#omit(path, "expected a table");
      if (Object.keys(item).length === 0) return; // old files have them, and Fly's client skips them
      if (typeof name !== "string") return this.#omit([...path, "name"], "missing; expected a string");
      if (Object.hasOwn(table, name)) return this.#omit([...path, "name"], `${JSON.stringify(name)} is in this list already`);
      define(table, name, toValue(item));
      this.#origins.move(table, name, path);
    });
    return table;
  }

  #omit(path: KeyPath, message: string): void {
    this.omissions.push({ path, message });
  }

  #list(value: unknown, path: KeyPath): unknown {
    return isTable(value) ? this.#origins.place([value], path) : value;
  }

  #mapList(value: unknown, toItem: (item: Table) => Table): unknown {
    if (!Array.isArray(value)) return value;
    const items = value.map((item: unknown) => (isTable(item) ? toItem(item) : item));
    return this.#origins.place(items, this.#origins.of(value));
  }

  #mapTable(value: unknown, toItem: (item: Table) => Table): unknown {
    if (!isTable(value)) return value;
    const table = this.#origins.copy(value);
    for (const [key, item] of Object.entries(table)) if (isTable(item)) table[key] = toItem(item);
    return table;
  }

  #without(table: Table, key: string): Table {
    const { [key]: _, ...rest } = table;
    return this.#origins.place(rest, this.#origins.of(table));
  }
}

/** Replaces a value that is present; undefined removes the key. */
function change(table: Table, key: string, toValue: (value: unknown) => unknown): void {
  if (!Object.hasOwn(table, key)) return;
  const value = toValue(table[key]);
  if (value === undefined) delete table[key];
  else table[key] = value;
}

/** Fly's client takes an empty duration for none. */
function dropIfEmpty(table: Table, key: string): void {
  if (table[key] === "") delete table[key];
}

/** A plain assignment to a new key `__proto__` would change the table's prototype instead. */
function define(table: Table, key: string, value: unknown): void {
  Object.defineProperty(table, key, { value, writable: true, enumerable: true, configurable: true });
}
