// The runtime that the node runs on, as far as it matters to those who run it.

/** The first release of Node 26 with the fixes for faults in TLS and HTTP/2 that can be used from outside. */
const MENDED = [26, 13, 1] as const;

/** What is wrong with this version of Node, such as "v26.10.0"; null for nothing that is known. */
export function runtimeWarning(version: string): string | null {
  const parts = version.replace(/^v/, "").split(".").map(Number);
  for (const [index, least] of MENDED.entries()) {
    const part = parts[index] ?? 0;
    if (part > least) return null;
    if (part < least) {
      return `Node ${version} lacks the security fixes of ${MENDED.join(".")} to TLS; update it as soon as you can get that release`;
    }
  }
  return null;
}
