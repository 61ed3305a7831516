// Durations as people write them: Go's syntax ("1m21s", "800ms", "1.5h"), which fly.toml uses and kittiwake.toml too.
// Everywhere else in Kittiwake a duration is a number of milliseconds, in a name that ends in `Ms`.

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, micro sign
  μs: 1e-3, // U+03BC, Greek mu
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Where Go's own type ends (2^63 ns, about 292 years). */
const MAX_MS = 2 ** 63 / 1e6;

/**
 * Reads a duration as Go's time.ParseDuration does: an optional sign, then one or more decimal numbers with a unit each; "0" needs
 * none.
 *
 * @returns milliseconds, with a fraction for units below; null for anything that is not a duration or too long for Go
 */
export function parseDuration(text: string): number | null {
  const negative = text.startsWith("-");
  const unsigned = negative || text.startsWith("+") ? text.slice(1) : text;
  if (unsigned === "0") return 0;
  if (unsigned === "") return null;

  let totalMs = 0;
  for (let at = 0; at < unsigned.length; at = PART.lastIndex) {
    PART.lastIndex = at;
    const part = PART.exec(unsigned);
    if (part === null) return null;
    totalMs += inMs(part[1]!, part[2]!);
  }
  if (totalMs >= MAX_MS) return null;
  return negative ? 0 - totalMs : totalMs;
}

/** Writes milliseconds so that parseDuration reads the same again: "1h30m", "1m21s", "1.5s", "800ms", "250us", "0s". */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms === 0) return "0s";
  if (ms < 1) return ms < 1e-3 ? `${rounded(ms * 1e6)}ns` : `${rounded(ms * 1e3)}us`;
  if (ms < 1_000) return `${rounded(ms)}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const secondsMs = rounded(ms % 60_000);
  return (hours > 0 ? `${hours}h` : "") + (minutes > 0 ? `${minutes}m` : "") + (secondsMs > 0 ? `${seconds(secondsMs)}s` : "");
}

function inMs(digits: string, unit: string): number {
  const factor = UNIT_MS[unit]!;
  // Multiplying by 1e-3 would make 3us into 0.0030000000000000001; dividing by a whole number rounds once only.
  return factor < 1 ? Number(digits) / Math.round(1 / factor) : Number(digits) * factor;
}

/** To the nanosecond of a unit of milliseconds, so that binary fractions do not show. */
function rounded(value: number): number {
  return Number(value.toFixed(6));
}

function seconds(ms: number): number {
  return Number((ms / 1_000).toFixed(9));
}
