// Reads the numbers of the benchmarks' command lines.

/** Throws unless it is a whole number from 1. */
export function wholeNumber(option: string, given: string): number {
  const value = Number(given);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${option}: expected a whole number from 1, got "${given}"`);
  return value;
}
