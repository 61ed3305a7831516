// Texts of one byte a character that are kept for long.

/** The same text in memory of its own, not as a view into another text or a tree of others. */
export function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
