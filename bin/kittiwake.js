#!/usr/bin/env node
// The `kittiwake` command. Plain JavaScript, so that a Node that cannot run the program can still say so; where the `node` package
// is installed beside us (it is after `npm ci` in a clone), such a Node hands over to that one.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NEEDED_MAJOR = 26;

if (Number.parseInt(process.versions.node, 10) >= NEEDED_MAJOR) {
  // Sources first: the npm package has only dist/, and a clone's dist/ may be older than its sources.
  const source = new URL("../src/main.ts", import.meta.url);
  await import(existsSync(source) ? source.href : "../dist/main.js");
} else {
  const node = newerNode();
  if (node !== null) handOver(node);
  else {
    console.error(
      `kittiwake: needs Node ${NEEDED_MAJOR} or newer, and this is Node ${process.versions.node} (${process.execPath}); ` +
        "install a newer one, or put it beside kittiwake with `npm install node@26`",
    );
    process.exitCode = 1;
  }
}

/** The executable of the `node` package, or null when it is missing, not unpacked, or too old itself. */
function newerNode() {
  try {
    const require = createRequire(import.meta.url);
    const manifest = require.resolve("node/package.json");
    if (Number.parseInt(require(manifest).version, 10) < NEEDED_MAJOR) return null;
    const executable = join(dirname(manifest), "bin", "node");
    return existsSync(executable) ? executable : null;
  } catch {
    return null;
  }
}

/** Runs this command again under `node`, as if it were this process: same streams, same signals, same end. */
function handOver(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"];
  for (const signal of signals) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to both of us; a second one would mean "now" where the first means "when you are ready".
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(`kittiwake: cannot run ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
