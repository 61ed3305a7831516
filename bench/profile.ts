// Where a proxy's CPU time goes in a scenario, by Linux's perf: a sample every millisecond while the load runs, summed by kind (kernel, our own files, V8, …),
// by file of ours, and by function. What it says is self time, given as microseconds per request.
//
//     node bench/profile.ts [--scenario plain] [--contestant Kittiwake] [--seconds 5] [--top 25]

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { inability } from "./abilities.ts";
import { makeCertificate } from "./certificate.ts";
import { findProgram } from "./contestant.ts";
import { cpuUs, processesOf, runLoad } from "./measure.ts";
import { CONTESTANTS, pickScenarios } from "./rivals.ts";
import { startBackend } from "./start-backend.ts";
import { wholeNumber } from "./whole-number.ts";

/** A function, with the library or file that it is in. */
interface Sample {
  readonly symbol: string;
  readonly library: string;
}

const HERTZ = 999;
const WARM_UP_SECONDS = 3;
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Those of V8's heap; concurrent helpers too. */
const COLLECTS = /^(cppgc|heap::base|v8::internal::.*(Scaveng|Mark(ing|Compact|er)|Sweep|Heap|Evacuat|Young|Allocat|GlobalHandles))/;
const COMPILES =
  /^v8::internal::(.*(compiler|maglev|turboshaft|Compil|Parser|Scanner|BytecodeGenerator|BaselineBatch|Assembler)|baseline|interpreter)/;

/** The first that fits counts. V8 names compiled functions `JS:*name file:///path:line:column`. */
const KINDS: readonly (readonly [name: string, fits: (sample: Sample) => boolean])[] = [
  ["kernel", ({ library }) => library.includes("kernel") || library === "[vdso]"],
  ["own files", ({ symbol }) => symbol.includes(`${ROOT}src/`)],
  ["packages", ({ symbol }) => symbol.includes("/node_modules/")],
  ["Node's JavaScript", ({ symbol }) => /^JS:.* node:/.test(symbol)],
  ["V8: compilers", ({ symbol }) => COMPILES.test(symbol)],
  ["V8: garbage collection", ({ symbol }) => COLLECTS.test(symbol)],
  [
    "V8: besides",
    ({ symbol, library }) => /^(v8::|Builtins?[_:]|BytecodeHandler:|RegExp:|Stub:|JS:)/.test(symbol) || /JIT|perf-\d/.test(library),
  ],
  ["Node's C++ and libuv", ({ symbol }) => /^(node::|uv_|napi_|simdutf|llhttp|ada::|std::)/.test(symbol)],
  ["OpenSSL", ({ library }) => /libssl|libcrypto/.test(library) || library.endsWith("node")],
  ["C library", ({ library }) => /libc[.-]|libpthread|ld-linux/.test(library)],
];

const { values } = parseArgs({
  options: {
    scenario: { type: "string", default: "plain" },
    contestant: { type: "string", default: "Kittiwake" },
    seconds: { type: "string", default: "5" },
    top: { type: "string", default: "25" },
  },
});
const seconds = wholeNumber("seconds", values.seconds);
const top = wholeNumber("top", values.top);
const [scenario] = pickScenarios([values.scenario]);
const contestant = CONTESTANTS.find(({ name }) => name === values.contestant);
if (contestant === undefined) throw new Error(`no contestant is called "${values.contestant}"`);
if (findProgram("perf") === null) throw new Error('"perf" is missing; it is in the Debian package linux-perf');

await using backend = await startBackend();
using certificate = await makeCertificate();
// Has V8 write down where its compiled code is; the load's programs need not.
process.env["NODE_OPTIONS"] = "--perf-basic-prof";
await using target = { ...(await contestant.start(backend.port, certificate)), name: contestant.name };
delete process.env["NODE_OPTIONS"];
const reason = await inability(target, scenario!.needs);
if (reason !== null) throw new Error(`${contestant.name} ${reason}`);
await scenario!.prepare?.([target]);
await scenario!.measure(target, WARM_UP_SECONDS);

const pids = processesOf(target.pid);
const recording = join(certificate.dir, "perf.data");
const record = [
  "perf",
  "record",
  "-q",
  "-F",
  String(HERTZ),
  "-e",
  "cpu-clock",
  "-p",
  pids.join(","),
  "-o",
  recording,
  "--",
  "sleep",
  String(seconds),
];
const before = cpuUs(target.pid);
const [{ count }] = await Promise.all([scenario!.measure(target, seconds), runLoad(record)]);
const usEach = (cpuUs(target.pid) - before) / count;
const samples = samplesOf(recording);
for (const pid of pids) rmSync(`/tmp/perf-${pid}.map`, { force: true });

console.log(`${contestant.name}, ${scenario!.title}: ${usEach.toFixed(1)} µs of CPU per ${scenario!.unit}, ${samples.length} samples\n`);
table("kind", samples.map(kindOf), Infinity);
table("own file", samples.flatMap(ownFileOf), top);
table(
  "function",
  samples.map((sample) => `${kindOf(sample)}: ${shortName(sample)}`),
  top,
);

function samplesOf(path: string): Sample[] {
  const out = execFileSync("perf", ["script", "-i", path, "-F", "ip,sym,dso"], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return out.split("\n").flatMap((line) => {
    const [, symbol, library] = /^\s*[0-9a-f]+ (.*) \(([^()]*)\)$/.exec(line) ?? [];
    return symbol === undefined || library === undefined ? [] : [{ symbol, library }];
  });
}

function kindOf(sample: Sample): string {
  return KINDS.find(([, fits]) => fits(sample))?.[0] ?? "other";
}

function ownFileOf({ symbol }: Sample): string[] {
  const at = symbol.indexOf(`${ROOT}src/`);
  return at === -1 ? [] : [symbol.slice(at + ROOT.length).replace(/:\d+:\d+$/, "")];
}

function shortName({ symbol }: Sample): string {
  return symbol
    .replace(`file://${ROOT}`, "")
    .replace(/^JS:[^a-zA-Z#<]*/, "")
    .slice(0, 110);
}

function table(title: string, names: readonly string[], most: number): void {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const rows = [...counts].toSorted(([, a], [, b]) => b - a).slice(0, most);
  if (rows.length === 0) return;
  console.log(`| ${title} | µs | share |\n|---|---|---|`);
  for (const [name, times] of rows) {
    const share = times / samples.length;
    console.log(`| ${name} | ${(share * usEach).toFixed(2)} | ${(share * 100).toFixed(1)} % |`);
  }
  console.log("");
}
