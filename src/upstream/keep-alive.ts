// How the kernel is to find out that the other end of a silent connection is gone: of a tunnel to a machine, and of any client's.

/** After this much silence it asks, ten times, a second apart. */
export const KEEP_ALIVE_MS = 60_000;
