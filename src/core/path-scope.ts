// What a remembered replay is for: the requests of a host whose path is this one or below it. Reference sections 4.5 and 4.6. Pure.

export interface PathScope {
  /** Canonical; null: any, each by itself. */
  readonly host: string | null;
  /** Without "/" at its end, so that it is followed by one in every path below it; "" is all paths. */
  readonly path: string;
}

/** A longer or deeper path is no scope, and of a request's only what is in front of that is looked at. */
const MOST_PATH_CHARACTERS = 512;
const MOST_SEGMENTS = 16;

const HOST = /^[a-z0-9_](?:[a-z0-9._-]{0,252})$/;
const PATH = /^(?:\/[\x21-\x7e]*)?$/;
/** Machines do not agree on what it leads to. */
const AMBIGUOUS = /\/\/|\/\.{1,2}(?:\/|$)|%2[ef]|%5c|[\\;]/i;

/** Of `/path/*` or `host/path/*`, both also without the end; null: it is neither, or too long to be remembered. */
export function parsePathScope(text: string): PathScope | null {
  const slash = text.indexOf("/");
  if (slash === -1) return null;
  const host = text.slice(0, slash).toLowerCase();
  const path = text.slice(slash).replace(/\/\*?$/, "");
  if (host !== "" && !HOST.test(host)) return null;
  if (!PATH.test(path) || /[*?#]/.test(path) || AMBIGUOUS.test(text)) return null;
  if (path.length > MOST_PATH_CHARACTERS || path.split("/").length - 1 > MOST_SEGMENTS) return null;
  return { host: host === "" ? null : host.replace(/\.$/, ""), path };
}

/**
 * The path of every scope that a request can be in, longest first; none where machines may not agree on what its path is.
 *
 * @param target path and query, or `*`
 */
export function scopePaths(target: string): string[] {
  const query = target.indexOf("?");
  const whole = query === -1 ? target : target.slice(0, query);
  if (!whole.startsWith("/") || AMBIGUOUS.test(whole)) return [];
  const path = whole.endsWith("/") ? whole.slice(0, -1) : whole;
  const paths = [""];
  for (let end = 0; end < path.length && paths.length <= MOST_SEGMENTS;) {
    const next = path.indexOf("/", end + 1);
    end = next === -1 ? path.length : next;
    if (end > MOST_PATH_CHARACTERS) break;
    paths.push(path.slice(0, end));
  }
  return paths.reverse();
}

/** @param paths those of the request, by `scopePaths` */
export function isInScope(scope: PathScope, host: string, paths: readonly string[]): boolean {
  return (scope.host ?? host) === host && paths.includes(scope.path);
}
