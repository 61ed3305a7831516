// Tables for people: columns as wide as they must be, two spaces apart, numbers to the right. No frames and no colours, so that grep, awk and
// a narrow terminal get along with it.

export type Cell = string | number;

const GAP = "  ";

/** The table with its heads, without a line break at the end. */
export function formatTable(heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map((cell) => printable(String(cell))));
  const widths = heads.map((head, column) => Math.max(head.length, ...texts.map((row) => row[column]?.length ?? 0)));
  const isNumeric = heads.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number"));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => (isNumeric[column] === true ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))).join(GAP);
  return [heads, ...texts].map((cells) => line(cells).trimEnd()).join("\n");
}

/** Text that came from elsewhere must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "·");
}

/** A round trip or a wait: a tenth of a millisecond matters below ten. */
export function formatMs(ms: number): string {
  return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
}
