// In which shape a client wants to be told of an error, by its Accept field (RFC 9110 section 12.5.1).

import { weightedItems, type WeightedItem } from "../http/weighted-list.ts";

export type ErrorShape = "html" | "json" | "text";

interface Wish {
  readonly shape: ErrorShape;
  readonly weight: number;
  /** Named itself, by its type, or only by `*` for all. */
  readonly precision: number;
}

/** What a client gets that names both as well: browsers name the first by itself, API clients the second. */
const NAMED_FIRST: readonly ErrorShape[] = ["html", "json", "text"];
/** Whom anything suits gets what people can read anywhere. */
const PLAIN_FIRST: readonly ErrorShape[] = ["text", "json", "html"];

/** Who wants none of the three gets plain text all the same: an error that is told in another shape is better than none. */
export function errorShape(accept: string | null): ErrorShape {
  if (accept === null) return "text";
  const items = weightedItems(accept);
  let best: Wish = { shape: "text", weight: 0, precision: 0 };
  for (const shape of NAMED_FIRST) {
    const wish = wishFor(shape, items);
    if (isBetter(wish, best)) best = wish;
  }
  return best.shape;
}

function isBetter(wish: Wish, best: Wish): boolean {
  if (wish.weight === 0 || wish.weight !== best.weight) return wish.weight > best.weight;
  if (wish.precision !== best.precision) return wish.precision > best.precision;
  return wish.precision < 2 && PLAIN_FIRST.indexOf(wish.shape) < PLAIN_FIRST.indexOf(best.shape);
}

/** The most precise item that fits says how much it is wanted. */
function wishFor(shape: ErrorShape, items: readonly WeightedItem[]): Wish {
  let wish: Wish = { shape, weight: 0, precision: -1 };
  for (const { name, weight } of items) {
    const precision = precisionFor(shape, name);
    if (precision > wish.precision || (precision === wish.precision && weight > wish.weight)) wish = { shape, weight, precision };
  }
  return wish;
}

function precisionFor(shape: ErrorShape, range: string): number {
  if (isNamed(shape, range)) return 2;
  if (range === (shape === "json" ? "application/*" : "text/*")) return 1;
  return range === "*/*" ? 0 : -1;
}

function isNamed(shape: ErrorShape, range: string): boolean {
  if (shape === "html") return range === "text/html" || range === "application/xhtml+xml";
  if (shape === "text") return range === "text/plain";
  return range === "application/json" || range.endsWith("+json");
}
