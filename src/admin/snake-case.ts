// What the public sees is in snake_case: this turns the plain values of NodeControl into the JSON of the admin API, keys only, and tells
// the client's types the same.

/** The value as it looks on the wire. */
export type SnakeCased<Value> = Value extends readonly (infer Item)[]
  ? readonly SnakeCased<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value as SnakeKey<Key & string>]: SnakeCased<Value[Key]> }
    : Value;

type SnakeKey<Key extends string> = Key extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeKey<Rest>}`
  : "";

/** Renames the keys of plain data, however deep: `startedAtMs` becomes `started_at_ms`. Values are not touched. */
export function snakeCased<Value>(value: Value): SnakeCased<Value> {
  return renamed(value) as SnakeCased<Value>;
}

function renamed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(renamed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), renamed(inner)]),
  );
}
