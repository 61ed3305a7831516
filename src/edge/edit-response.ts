// What an app's `http_options` make of its response's head: the edge's own fields put in or left out, and those of the app set, replaced or
// removed. Only ports that ask for something of it come here.

import { EditedHead } from "../http/edited-head.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { ResponseHead } from "../http/message.ts";
import type { HttpOptions } from "../core/app.ts";
import type { OwnFacts } from "./client-channel.ts";

/** The head as the client gets it, with all of the edge's own fields but those that frame the message. */
export function editResponse(head: ResponseHead, options: HttpOptions, own: OwnFacts): EditedHead {
  const edited = new EditedHead(head);
  const { fields } = edited;
  if (joinedValue(fields, "date") === null) fields.add("date", new Date().toUTCString());
  if (options.pristine) {
    fields.keep("server");
    fields.keep("via");
    fields.keep("fly-request-id");
  } else {
    const via = joinedValue(fields, "via");
    for (const name of ["server", "via", "fly-request-id"]) fields.remove(name);
    fields.add("server", "kittiwake");
    fields.add("via", via === null ? "1.1 kittiwake" : `${via}, 1.1 kittiwake`);
    fields.add("fly-request-id", own.id);
    if (own.isPanic) fields.add("kittiwake-panic", "1");
  }
  if (own.hsts !== null && joinedValue(fields, "strict-transport-security") === null) fields.add("strict-transport-security", own.hsts);
  for (const { name, values } of options.responseHeaders) {
    fields.remove(name);
    for (const value of values) fields.add(name, value);
  }
  if (own.cookies !== null) for (const cookie of own.cookies) fields.add("set-cookie", cookie);
  return edited;
}
