// Splits a piece of a log file into lines. Pure: it keeps nothing between calls, the caller reads again from what was not taken.

/** A longer line is delivered in pieces of this size. */
export const LINE_BYTES = 16 * 1024;

export interface Taken {
  readonly lines: readonly string[];
  /** Bytes that the lines and their breaks take up. */
  readonly bytes: number;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** The complete lines at the start of `chunk`, at most `limit`, without `\n` or `\r\n`. What follows the last break stays, unless it is too long. */
export function takeLines(chunk: Buffer, limit: number): Taken {
  const lines: string[] = [];
  let start = 0;
  while (lines.length < limit) {
    const newline = chunk.indexOf(NEWLINE, start);
    if (newline !== -1 && newline - start <= LINE_BYTES) {
      const end = newline > start && chunk[newline - 1] === RETURN ? newline - 1 : newline;
      lines.push(chunk.toString("utf8", start, end));
      start = newline + 1;
    } else if (chunk.length - start > LINE_BYTES) {
      const end = characterBoundary(chunk, start + LINE_BYTES);
      lines.push(chunk.toString("utf8", start, end));
      start = end;
    } else break;
  }
  return { lines, bytes: start };
}

/** The place at or up to three bytes before `at` that is not inside a UTF-8 character; `at` itself in other data. */
function characterBoundary(chunk: Buffer, at: number): number {
  for (let end = at; end > at - 4; end--) if (((chunk[end] ?? 0) & 0xc0) !== 0x80) return end;
  return at;
}
