// Hot path. Which bytes may stand where in a message head, as one table of bits.

/** tchar, RFC 9110 section 5.6.2. */
export const TOKEN = 1;
/** field-vchar, SP and HTAB, RFC 9110 section 5.5: no control bytes, no DEL. */
export const VALUE = 2;
/** What may stand in a request target: visible ASCII but "#", since a fragment is never sent (RFC 9112 section 3.2). */
export const TARGET = 4;
export const DIGIT = 8;
export const HEX = 16;
/** What may stand in a host name of an authority (RFC 3986 section 3.2.2, without percent-encoding). */
export const HOST = 32;

export const CHARACTERS: Uint8Array = characters();

function characters(): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0x21; byte <= 0x7e; byte++) table[byte]! |= VALUE | TARGET;
  for (let byte = 0x80; byte <= 0xff; byte++) table[byte]! |= VALUE;
  table[0x20]! |= VALUE;
  table[0x09]! |= VALUE;
  table[0x23]! &= ~TARGET;
  mark(table, "0123456789", TOKEN | DIGIT | HEX | HOST);
  mark(table, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", TOKEN | HOST);
  mark(table, "abcdefABCDEF", HEX);
  mark(table, "!#$%&'*+-.^_`|~", TOKEN);
  mark(table, "-._~", HOST);
  return table;
}

function mark(table: Uint8Array, characters: string, bits: number): void {
  for (const character of characters) table[character.charCodeAt(0)]! |= bits;
}
