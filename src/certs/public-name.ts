// Which names an ACME authority can be asked for at all. The others are served by the local CA, whatever the issuer is.

import { isIP } from "node:net";

/** Names that lead nowhere from outside: RFC 2606, 6761, 6762, 7686, 8375 and 9476, `internal` by ICANN, and what home routers make up. */
const PRIVATE_ENDINGS: ReadonlySet<string> = new Set([
  ...["alt", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localhost", "onion", "private", "test"],
  ...["home.arpa"],
]);

/** Second-level names below which countries register, such as `co.uk`. */
const SHARED_SECOND_LEVEL = /^(?:ac|co|com|edu|go|gob|gov|gv|mil|ne|net|nom|or|org)$/;

/**
 * Is it worth asking this authority for a certificate of the name? A public one refuses private names; one that has a private name itself,
 * such as a company's, knows those around it. Nobody vouches for `localhost` or, here, for an address.
 *
 * @param name canonical; `*.` in front for a wildcard
 */
export function isOrderable(name: string, directory: URL): boolean {
  const host = name.startsWith("*.") ? name.slice(2) : name;
  if (isIP(host) !== 0 || !host.includes(".") || host.endsWith(".localhost")) return false;
  return isPublic(host) || !isPublic(directory.hostname);
}

/**
 * What the limits of authorities count by: roughly the part of a name that is registered. Without the list of public suffixes a few names
 * share a count that need not; so their orders wait longer than they had to, never shorter.
 */
export function registeredDomain(name: string): string {
  const labels = name.split(".");
  const [second = "", top = ""] = labels.slice(-2);
  return labels.slice(top.length === 2 && SHARED_SECOND_LEVEL.test(second) ? -3 : -2).join(".");
}

function isPublic(host: string): boolean {
  if (host.startsWith("[") || isIP(host) !== 0 || !host.includes(".")) return false;
  const labels = host.split(".");
  return !PRIVATE_ENDINGS.has(labels.at(-1)!) && !PRIVATE_ENDINGS.has(labels.slice(-2).join("."));
}
