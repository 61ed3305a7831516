// Names as segments of the store's keys, whose letters do not include a star.

const STAR = "*.";
/** No host name has an underscore here, see server-name.ts. */
const WILDCARD = "_wildcard.";

/** `*.example.com` is `_wildcard.example.com` in the store. */
export function nameKey(name: string): string {
  return name.startsWith(STAR) ? WILDCARD + name.slice(STAR.length) : name;
}

export function nameOfKey(key: string): string {
  return key.startsWith(WILDCARD) ? STAR + key.slice(WILDCARD.length) : key;
}
