// Latency at half of what Kittiwake can take, the same rate for everybody, by an open loop; who cannot take that much gets half of
// what it can. The backend alone is in it too: what a proxy adds is what it has more than that.

import { HOST } from "../certificate.ts";
import type { OpenLoopOptions } from "../load/open-loop.ts";
import { runOwnLoad } from "../load/own-program.ts";
import { wrk } from "../load/wrk.ts";
import type { NamedContestant, Scenario } from "../scenario.ts";

const CONNECTIONS = 64;
const SATURATE_SECONDS = 2;
/** What the generator itself can send beside the backend without being late. */
const HIGHEST_RATE = 12_000;

export function latency(): Scenario {
  const rates = new Map<string, number>();
  return {
    name: "latency",
    title: "latency at half of saturation",
    load:
      `A Node program, ${CONNECTIONS} plain connections, requests released at a fixed rate whether or not earlier ones were answered (an open loop, no ` +
      "coordinated omission). The rate is half of what Kittiwake took from wrk just before, less for who takes less; the p99 counts.",
    needs: "http",
    unit: "request",
    judged: "p99Ms",
    hasBare: true,
    goals: [{ kind: "above", rival: "HAProxy", most: 1 }],
    prepare: async (contestants) => {
      for (const contestant of contestants) {
        // Who fails under full load may still do well under half of it.
        const most = await saturation(contestant).catch(() => HIGHEST_RATE);
        rates.set(contestant.name, most / 2);
      }
      const shared = Math.min(rates.get("Kittiwake") ?? Infinity, HIGHEST_RATE);
      for (const [name, rate] of rates) rates.set(name, Math.round(Math.min(rate, shared)));
    },
    measure: async ({ name, httpPort }, seconds) => {
      // The warm-up comes before the rates are known.
      const rate = rates.get(name) ?? 1000;
      const options: OpenLoopOptions = { scheme: "http", port: httpPort, host: HOST, connections: CONNECTIONS, rate, seconds };
      return { ...(await runOwnLoad("open-loop.ts", options)), rate };
    },
  };
}

async function saturation({ httpPort }: NamedContestant): Promise<number> {
  const { count, seconds } = await wrk({ scheme: "http", port: httpPort, connections: CONNECTIONS, seconds: SATURATE_SECONDS });
  return count / seconds;
}
