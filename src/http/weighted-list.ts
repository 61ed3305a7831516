// Lists of what a client would like, each item with a weight: Accept, Accept-Encoding (RFC 9110 sections 12.4.2 and 12.5).

export interface WeightedItem {
  /** Lower case, without parameters. */
  readonly name: string;
  /** From 0, "not acceptable", to 1000. */
  readonly weight: number;
}

/** No client has more wishes; the rest is not read. */
const MAX_ITEMS = 64;
/** Up to three decimals, and nothing above 1. */
const QVALUE = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;

/** The items in the order of the list. One whose weight cannot be read is left out: it says nothing. */
export function weightedItems(list: string): WeightedItem[] {
  const items: WeightedItem[] = [];
  for (const part of list.split(",", MAX_ITEMS)) {
    const [name = "", ...parameters] = part.split(";");
    const item = { name: name.trim().toLowerCase(), weight: weightOf(parameters) };
    if (item.name !== "" && !Number.isNaN(item.weight)) items.push(item);
  }
  return items;
}

function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const equals = parameter.indexOf("=");
    if (parameter.slice(0, Math.max(equals, 0)).trim().toLowerCase() !== "q") continue;
    const value = parameter.slice(equals + 1).trim();
    return QVALUE.test(value) ? Math.round(Number(value) * 1000) : Number.NaN;
  }
  return 1000;
}
