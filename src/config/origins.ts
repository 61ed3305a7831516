// Remembers where in the file each table and list was, while aliases move them about in a copy, so that a problem found in the
// copy is reported under the name that the operator wrote.

import type { KeyPath } from "./problems.ts";

export type Table = Record<string, unknown>;

export class Origins {
  /** Where a table or list was. */
  readonly #places = new WeakMap<object, KeyPath>();
  /** Where single values were that now are under another name; by their new parent. */
  readonly #moved = new WeakMap<object, Map<string | number, KeyPath>>();

  constructor(source: object) {
    this.#remember(source, []);
  }

  /** A shallow copy that may be changed. */
  copy<Value extends Table>(table: Value): Value {
    const copy = this.place({ ...table }, this.of(table));
    const moved = this.#moved.get(table);
    if (moved !== undefined) this.#moved.set(copy, new Map(moved));
    return copy;
  }

  /** States where a new table or list came from. */
  place<Value extends object>(value: Value, path: KeyPath): Value {
    this.#places.set(value, path);
    return value;
  }

  /** States where the value that is now at `parent[key]` came from. */
  move(parent: object, key: string | number, path: KeyPath): void {
    const moved = this.#moved.get(parent) ?? new Map<string | number, KeyPath>();
    this.#moved.set(parent, moved.set(key, path));
  }

  /** Where a table or list was in the file. */
  of(value: object): KeyPath {
    return this.#places.get(value) ?? [];
  }

  /** From a path in the changed tree to the path in the file. What is in neither keeps its name. */
  asWritten(tree: unknown, path: KeyPath): KeyPath {
    let node = tree;
    let written: KeyPath = [];
    for (const segment of path) {
      const parent = node;
      node = isObject(parent) && Object.hasOwn(parent, segment) ? (parent as Table)[segment] : undefined;
      const moved = isObject(parent) ? this.#moved.get(parent)?.get(segment) : undefined;
      const place = isObject(node) ? this.#places.get(node) : undefined;
      written = moved ?? place ?? [...written, segment];
    }
    return written;
  }

  #remember(value: unknown, path: KeyPath): void {
    if (!isObject(value)) return;
    this.#places.set(value, path);
    if (Array.isArray(value)) value.forEach((item, index) => this.#remember(item, [...path, index]));
    else for (const [key, child] of Object.entries(value)) this.#remember(child, [...path, key]);
  }
}

export function isTable(value: unknown): value is Table {
  return isObject(value) && !Array.isArray(value) && !(value instanceof Date);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
