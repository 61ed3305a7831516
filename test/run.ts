// `npm test`: every *.test.ts file under the given folders or files (all of test/ without any, but for the image and the scanners, which
// take as long as a fifth of all others: npm run test:long), three at a time, each in its own process. Differs from `node --test` in two ways: no test at all is a failure, and so is a file that does not end.

import { accessSync, constants, globSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const asked = process.argv.slice(2);
const found = (asked.length === 0 ? ["test"] : asked).flatMap((path) =>
  statSync(path).isDirectory() ? globSync(join(path, "**/*.test.ts")) : [path],
);
const files = asked.length === 0 ? found.filter((path) => !/\.(docker|scanners)\.test\.ts$/.test(path)) : found;

// Each file is a process that loads most of src/: compiled once for all of them, that takes half the time. Kept by content.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("../node_modules/.cache/kittiwake-tests", import.meta.url));

// What tests write is small and forgotten at once: in memory, where there is room, that takes neither the disk nor a tenth of the time.
if (canHold("/dev/shm")) process.env["TMPDIR"] ??= "/dev/shm";

const tests = run({
  files: files.toSorted(),
  concurrency: 3,
  timeout: 60_000,
  // Room for what loading a program leaves behind: to collect it takes longer than most files do.
  execArgv: ["--min-semi-space-size=16", "--max-semi-space-size=32", "--import", new URL("file-timeout.ts", import.meta.url).href],
});

tests.on("test:summary", ({ file, counts, success }) => {
  if (file !== undefined) return;
  if (!success) process.exitCode = 1;
  if (counts.tests === 0) {
    console.error(`no test found in ${asked.join(" ") || "test"}`);
    process.exitCode = 1;
  }
});
tests.compose(spec).pipe(process.stdout);

function canHold(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize > 2 ** 30;
  } catch {
    return false;
  }
}
