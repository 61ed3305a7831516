// The program: arguments in, exit code out. Everything else is in cli/.

import { runCli } from "./cli/cli.ts";
import { processTerminal } from "./cli/terminal.ts";

process.exitCode = await runCli(process.argv.slice(2), processTerminal());
