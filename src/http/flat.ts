/** The same text, of one byte a character, in memory of its own: not as a view into another text or a tree of others. */
export function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
