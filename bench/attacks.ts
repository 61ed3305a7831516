// Attacks by one client while another one's latency is measured: its 99th percentile must stay within three times of what it is in quiet, and the
// proxy's memory within a bound. The proxy runs on all cores, with as many workers, as it does by default. Rounds alternate between quiet and
// attack; medians count. Exit code 1 where one does not hold.
//
//     node bench/attacks.ts [--contestant NAME] [--attacks a,b] [--rounds N] [--seconds N]

import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Attack } from "./attack.ts";
import { continuation, rapidReset } from "./attacks/h2-floods.ts";
import { manyIdle } from "./attacks/many-idle.ts";
import { slowBody, slowloris, slowRead } from "./attacks/slow-http.ts";
import { HOST, makeCertificate } from "./certificate.ts";
import type { RunningContestant } from "./contestant.ts";
import type { OpenLoopOptions } from "./load/open-loop.ts";
import { runOwnLoad } from "./load/own-program.ts";
import { median, openFiles, residentMb, unpin } from "./measure.ts";
import { CONTESTANTS } from "./rivals.ts";
import { startBackend } from "./start-backend.ts";
import { wholeNumber } from "./whole-number.ts";

interface Outcome {
  readonly quietMs: number;
  readonly attackedMs: number;
  readonly grownMb: number;
  /** Connections that it held when the measuring began, to clients and to the machine alike. */
  readonly held: number;
}

const ATTACKS: readonly Attack[] = [slowloris, slowBody, slowRead, manyIdle, rapidReset, continuation];
const MOST_TIMES = 3;
/** The other client: far from what the proxy can take, enough for a 99th percentile. */
const VICTIM = { scheme: "https", host: HOST, connections: 16, rate: 500 } as const;
const WARM_UP_SECONDS = 3;
/** An attack is in force once it holds this share of what it tries to, or has had this long. */
const ENOUGH_SHARE = 0.9;
const IN_FORCE_WITHIN_MS = 15_000;
const OVER_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 100;

const { values } = parseArgs({
  options: {
    contestant: { type: "string", default: "Kittiwake" },
    attacks: { type: "string", default: "" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
  },
});
const contestant = find(CONTESTANTS, values.contestant, "contestant");
const attacks = values.attacks === "" ? ATTACKS : values.attacks.split(",").map((name) => find(ATTACKS, name, "attack"));
const rounds = wholeNumber("rounds", values.rounds);
const seconds = wholeNumber("seconds", values.seconds);

console.log(
  `${contestant.name}, ${rounds} × ${seconds} s; the other client: ${VICTIM.rate} requests/s over ${VICTIM.connections} TLS connections\n`,
);
console.log("| attack | connections held | p99 ms in quiet | p99 ms under attack | times | grown by MB | |");
console.log("|---|---|---|---|---|---|---|");
for (const attack of attacks) console.log(await tryOut(attack));

/** A row of the table. */
async function tryOut(attack: Attack): Promise<string> {
  try {
    await using backend = await startBackend();
    using certificate = await makeCertificate();
    await using target = await contestant.start(backend.port, certificate, availableParallelism());
    await unpin(target.pid);
    const missing = await attack.missing(target);
    if (missing !== null) return `| ${attack.name} | left out: ${missing} | | | | | |`;
    await victimP99(target, WARM_UP_SECONDS);
    const outcomes: Outcome[] = [];
    for (let round = 0; round < rounds; round++) outcomes.push(await attackOnce(attack, target));
    return judge(attack, outcomes);
  } catch (error) {
    process.exitCode = 1;
    return `| ${attack.name} | **failed**: ${(error as Error).message} | | | | | |`;
  }
}

async function attackOnce(attack: Attack, target: RunningContestant): Promise<Outcome> {
  const quietMs = await victimP99(target, seconds);
  const filesBefore = openFiles(target.pid);
  const memory = watchMemory(target.pid);
  try {
    await using _attack = await attack.start(target);
    await until(() => openFiles(target.pid) - filesBefore >= attack.holds * ENOUGH_SHARE, IN_FORCE_WITHIN_MS);
    const held = openFiles(target.pid) - filesBefore;
    const attackedMs = await victimP99(target, seconds);
    return { quietMs, attackedMs, grownMb: memory.grownMb(), held };
  } finally {
    memory.stop();
    // What the attack held must not weigh on the next quiet.
    await until(() => openFiles(target.pid) - filesBefore <= VICTIM.connections, OVER_WITHIN_MS);
  }
}

function judge(attack: Attack, outcomes: readonly Outcome[]): string {
  const of = (pick: (outcome: Outcome) => number): number => median(outcomes.map(pick));
  const quietMs = of((outcome) => outcome.quietMs);
  const attackedMs = of((outcome) => outcome.attackedMs);
  const grownMb = Math.max(...outcomes.map((outcome) => outcome.grownMb));
  const held = Math.round(of((outcome) => outcome.held));
  const times = attackedMs / quietMs;
  const faults = [
    ...(times <= MOST_TIMES ? [] : [`p99 above ${MOST_TIMES} times`]),
    ...(grownMb <= attack.mostMb ? [] : [`memory above ${Math.round(attack.mostMb)} MB`]),
    // An attack that holds nothing was not one.
    ...(attack.holds === 0 || held >= attack.holds / 2 ? [] : ["the attack was not in force"]),
  ];
  if (faults.length > 0) process.exitCode = 1;
  const verdict = faults.length === 0 ? "holds" : `**${faults.join(", ")}**`;
  const cells = [attack.holds === 0 ? "" : held, quietMs.toFixed(2), attackedMs.toFixed(2), times.toFixed(2), grownMb.toFixed(0), verdict];
  return `| ${[attack.name, ...cells].join(" | ")} |`;
}

async function victimP99({ httpsPort }: RunningContestant, forSeconds: number): Promise<number> {
  const options: OpenLoopOptions = { ...VICTIM, port: httpsPort, seconds: forSeconds };
  return (await runOwnLoad("open-loop.ts", options)).p99Ms;
}

function watchMemory(pid: number): { grownMb(): number; stop(): void } {
  const before = residentMb(pid);
  let most = before;
  const timer = setInterval(() => {
    try {
      most = Math.max(most, residentMb(pid));
    } catch {
      // The proxy is gone, which the other client tells.
      clearInterval(timer);
    }
  }, LOOK_EVERY_MS);
  return { grownMb: () => most - before, stop: () => clearInterval(timer) };
}

async function until(isSo: () => boolean, withinMs: number): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!isSo() && performance.now() < endMs) await delay(LOOK_EVERY_MS);
}

function find<Named extends { readonly name: string }>(all: readonly Named[], name: string, what: string): Named {
  const found = all.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${what} is called "${name}"; there are ${all.map((each) => `"${each.name}"`).join(", ")}`);
  return found;
}
