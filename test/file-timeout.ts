// Loaded before every test file by run.ts: ends a file that is still running long after its tests should be done, and says what
// keeps it alive. The timer itself keeps nothing alive.

import { isMainThread } from "node:worker_threads";

const LIMIT_MS = 300_000;

if (isMainThread) {
  setTimeout(() => {
    console.error(`still running after ${LIMIT_MS / 1000} s: ${process.argv[1]}; open: ${process.getActiveResourcesInfo().join(", ")}`);
    process.exit(1);
  }, LIMIT_MS).unref();
}
