// What a decision costs: nanoseconds of CPU to find the service of a host name, claim a place on one of its machines and give it back, median of rounds; and
// the bytes of heap that are left of it. Part of `npm run bench`; alone: `node --expose-gc bench/micro/routing.ts [rounds]`

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { LoadTable } from "../../src/catalog/load-table.ts";
import { PLAIN_RULES, type Balance, type ServicePort } from "../../src/core/app.ts";
import { Balancer } from "../../src/routing/balancer.ts";
import { rank, type Candidate, type Ranked } from "../../src/routing/rank.ts";
import { Router } from "../../src/routing/router.ts";

export interface RoutingResult {
  readonly name: string;
  /** A round trip of route, claim, observe and release. */
  readonly ns: number;
  /** Bytes of heap that a million of them left behind, after a collection. */
  readonly survivingBytes: number;
}

interface Service {
  readonly protocol: "tcp";
  readonly ports: readonly ServicePort[];
  readonly ranked: Ranked<Candidate>;
  readonly softLimit: number;
  readonly hardLimit: number;
}

interface Scenario {
  readonly machines: number;
  readonly apps: number;
  readonly balance: Balance;
  /** In flight on each machine all the while; the soft limit is 20, the hard one 25. */
  readonly inFlight: number;
}

const DECISIONS = 100_000;
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "1 machine": { machines: 1, apps: 1, balance: "closest", inFlight: 0 },
  "100 machines": { machines: 100, apps: 1, balance: "closest", inFlight: 0 },
  "10 000 machines": { machines: 10_000, apps: 1, balance: "closest", inFlight: 0 },
  "100 machines, all at their soft limit": { machines: 100, apps: 1, balance: "closest", inFlight: 20 },
  "10 000 machines, all at their soft limit": { machines: 10_000, apps: 1, balance: "closest", inFlight: 20 },
  "10 000 machines, packed": { machines: 10_000, apps: 1, balance: "pack", inFlight: 0 },
  "10 000 apps of one machine": { machines: 1, apps: 10_000, balance: "closest", inFlight: 0 },
};

/** Takes some seconds. */
export function measureRouting(rounds: number): RoutingResult[] {
  const table = LoadTable.create();
  const collect = collector();
  return Object.entries(SCENARIOS).map(([name, scenario]) => {
    const decide = prepare(scenario, table);
    for (let round = 0; round < 10; round++) decide();
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const begun = process.cpuUsage();
      decide();
      const { user, system } = process.cpuUsage(begun);
      times.push(((user + system) * 1000) / DECISIONS);
    }
    collect();
    // The first ones after a collection may be compiled anew.
    decide();
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let made = 0; made < 1_000_000; made += DECISIONS) decide();
    collect();
    const survivingBytes = process.memoryUsage().heapUsed - before;
    return { name, ns: times.toSorted((a, b) => a - b)[rounds >> 1]!, survivingBytes };
  });
}

function prepare({ machines, apps, balance, inFlight }: Scenario, table: LoadTable): () => void {
  const load = new LoadTable(table.buffer, 1);
  let nowMs = 0;
  const balancer = new Balancer({ load, random: Math.random, now: () => nowMs });
  const router = new Router<Service, { name: string; hostnames: string[]; services: Service[]; clientAuth: null }>();
  const ports: ServicePort[] = [
    {
      start: 443,
      end: 443,
      handlers: ["http", "tls"],
      forceHttps: false,
      http: null,
      h2Backend: false,
      sessions: null,
      rules: PLAIN_RULES,
    },
  ];
  let slot = 0;
  for (let app = 0; app < apps; app++) {
    const candidates = Array.from({ length: machines }, (): Candidate => aMachine(slot++));
    for (const machine of candidates) {
      load.reset(machine.slot);
      for (let count = 0; count < inFlight; count++) load.claim(machine.slot, Infinity);
    }
    const ranked = rank(candidates, true, { region: "ams", regionPolicy: "any", balance });
    const service: Service = { protocol: "tcp", ports, ranked, softLimit: 20, hardLimit: 25 };
    router.set({ name: `app-${app}`, hostnames: [`app-${app}.example.com`], services: [service], clientAuth: null });
  }
  const hosts = Array.from({ length: apps }, (_, app) => `app-${app}.example.com`);
  return () => {
    for (let n = 0; n < DECISIONS; n++) {
      const { service } = router.route(router.match(hosts[n % apps]!)!, 443)!;
      const machine = balancer.claim(service, null);
      if (typeof machine === "string") throw new Error(`there is room, but the machines are said to be ${machine}`);
      balancer.observe(machine, 5 + (n & 7));
      balancer.release(machine);
      // A tick of the workers' clock for each thousand requests.
      if (n % 1000 === 0) nowMs += 100;
    }
  };
}

function aMachine(slot: number): Candidate {
  const address = { host: "127.0.0.1", port: 9000 };
  return { id: `m${slot}`, region: "ams", slot, address, rttMs: 1, state: "started", health: "passing", cordoned: false };
}

/** Works without `--expose-gc`, too. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

if (import.meta.main) {
  for (const { name, ns, survivingBytes } of measureRouting(Number(process.argv[2] ?? 15))) {
    console.log(`${name.padEnd(42)} ${ns.toFixed(0).padStart(6)} ns   ${String(survivingBytes).padStart(8)} bytes left of a million`);
  }
}
