// Who the client of a request is that a trusted proxy in front passed on: by what that proxy says of it in `x-forwarded-*`.

import type { AddressSet } from "../core/address-set.ts";
import { IP_WORDS, parseIp } from "../core/ip-address.ts";
import { FIELD } from "../http/field-names.ts";
import { joinedValue } from "../http/joined-value.ts";
import type { Fields } from "../http/message.ts";
import type { ClientFacts } from "../upstream/forward.ts";

/** The facts of one request; those of its connection where the proxy says nothing. */
export function forwardedClient(fields: Fields, client: ClientFacts, trusted: AddressSet): ClientFacts {
  const addresses = joinedValue(fields, "x-forwarded-for");
  const ip = addresses === null ? client.ip : clientOf(addresses, client.ip, trusted);
  const proto = fields.find(FIELD.xForwardedProto);
  const said = proto === -1 ? "" : fields.value(proto).toLowerCase();
  const scheme = said === "http" || said === "https" ? said : client.scheme;
  return ip === client.ip && scheme === client.scheme ? client : { ...client, ip, scheme };
}

/**
 * From the right, where each proxy has put whom it was asked by, past all that are trusted, to the first that is not: what is left of it
 * can be anybody's (as with nginx' `real_ip_recursive`). It ends before what is no address.
 */
function clientOf(addresses: string, peer: string, trusted: AddressSet): string {
  let client = peer;
  let end = addresses.length;
  while (end > 0 && trusted.has(client)) {
    const comma = addresses.lastIndexOf(",", end - 1);
    const next = addressOf(addresses.slice(comma + 1, end).trim());
    if (next === null) return client;
    client = next;
    end = comma;
  }
  return client;
}

/** Some proxies write the port as well. */
function addressOf(text: string): string | null {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(text) ?? [];
  const ip = bracketed ?? plain ?? text;
  if (parseIp(ip, new Uint32Array(IP_WORDS)) === null) return null;
  return ip.toLowerCase().startsWith("::ffff:") && ip.includes(".") ? ip.slice(7) : ip;
}
