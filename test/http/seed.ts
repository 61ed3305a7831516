// How the property tests are seeded and how long they run. The seed is another one every time and printed, so that a failure can be had
// again: KITTIWAKE_FUZZ_SEED=… KITTIWAKE_FUZZ_RUNS=… node --test test/http/…

export interface FuzzParameters {
  readonly seed: number;
  readonly numRuns: number;
}

/** @param numRuns how often a property is tried in a usual test run */
export function fuzzParameters(numRuns: number): FuzzParameters {
  const { KITTIWAKE_FUZZ_SEED = Date.now() & 0x7fffffff, KITTIWAKE_FUZZ_RUNS = numRuns } = process.env;
  console.log(`# seed ${KITTIWAKE_FUZZ_SEED}, ${KITTIWAKE_FUZZ_RUNS} runs`);
  return { seed: Number(KITTIWAKE_FUZZ_SEED), numRuns: Number(KITTIWAKE_FUZZ_RUNS) };
}
