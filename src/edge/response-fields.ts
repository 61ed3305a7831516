// Hot path. What the edge adds to every response (reference section 5.2), as HTTP/1.1 lines and as fields.

import { FIELD } from "../http/field-names.ts";
import type { ResponseHead } from "../http/message.ts";
import type { OwnFacts, OwnField } from "./client-channel.ts";

/** As complete lines, for a machine's response. */
export function ownLines(head: ResponseHead, own: OwnFacts): string {
  const { fields } = head;
  // Who passes on a response without a Date adds one (RFC 9110 section 6.6.1).
  const date = fields.find(FIELD.date) === -1 ? `date: ${new Date().toUTCString()}\r\n` : "";
  const hsts = own.hsts === null || fields.find(FIELD.strictTransportSecurity) !== -1 ? "" : `strict-transport-security: ${own.hsts}\r\n`;
  const panic = own.isPanic ? "kittiwake-panic: 1\r\n" : "";
  const rare = own.cookies === null ? panic : panic + own.cookies.map((cookie) => `set-cookie: ${cookie}\r\n`).join("");
  if (fields.find(FIELD.via) === -1) return `${date}${hsts}${rare}server: kittiwake\r\nvia: 1.1 kittiwake\r\nfly-request-id: ${own.id}\r\n`;
  let via = "";
  for (let i = 0; i < fields.count; i++) if (fields.id(i) === FIELD.via) via += `${fields.value(i)}, `;
  return `${date}${hsts}${rare}server: kittiwake\r\nvia: ${via}1.1 kittiwake\r\nfly-request-id: ${own.id}\r\n`;
}

/** For a response of the edge's own. */
export function ownFields(requestId: string): OwnField[] {
  return [
    ["server", "kittiwake"],
    ["via", "1.1 kittiwake"],
    ["fly-request-id", requestId],
  ];
}
