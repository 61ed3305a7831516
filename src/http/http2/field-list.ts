// Hot path. The fields of one decoded header block, in order. One is kept for each message or connection and filled again.

import type { FieldEntry } from "./field-entry.ts";

export class FieldList {
  /** Valid up to `count`. */
  readonly entries: FieldEntry[] = [];
  count = 0;
  /** Uncompressed size, every field counted with 32 more (RFC 9113 section 6.5.2); of those that were dropped too. */
  size = 0;
  /** At least one field is not valid: the message is malformed (a stream error). */
  isMalformed = false;
  /** More fields or bytes than allowed: the rest was dropped. The answer is 431. */
  isTooLarge = false;

  clear(): void {
    this.count = 0;
    this.size = 0;
    this.isMalformed = false;
    this.isTooLarge = false;
  }
}
