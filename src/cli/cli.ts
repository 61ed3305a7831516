// The command line: what the commands are called and what they take. Each is in commands/, and loaded only when it is wanted, so that a short
// command does not pay for a whole node.

import { Command, CommanderError } from "commander";

import { ProxyError } from "../core/errors.ts";
import type { GlobalOptions } from "./config-source.ts";
import { EXIT, EXIT_CODES_HELP, type ExitCode, exitCodeOf } from "./exit-codes.ts";
import { readVersion } from "./version.ts";

/** Runs one command. Never throws: what failed is on stderr, and in the exit code. */
export async function runCli(args: readonly string[]): Promise<ExitCode> {
  endQuietlyWithoutReader();
  let exitCode: ExitCode = EXIT.ok;
  const program = createProgram((code) => (exitCode = code));
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    return failed(error);
  }
}

function createProgram(end: (code: ExitCode) => void): Command {
  const program = new Command("kittiwake")
    .description("A self-hosted anycast edge: nearest healthy machine over HTTPS, woken by its first request.")
    .version(readVersion())
    .option("--config <path>", "configuration of the node (default: $KITTIWAKE_CONFIG, kittiwake.toml, config/kittiwake.toml)")
    .option("--admin <url>", "admin API of the node to ask (default: as in the configuration)")
    .option("--json", "print JSON, for programs")
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("afterAll", EXIT_CODES_HELP)
    .exitOverride();

  program
    .command("run")
    .description("run a node until SIGINT or SIGTERM; SIGHUP reads the configuration anew")
    .option("--keep-machines", "leave machines running on exit, for the next start to adopt")
    .action(async (_, command: Command) => end(await (await import("./commands/run.ts")).run(command.optsWithGlobals())));

  program
    .command("check")
    .description("check the configuration and print every problem in it")
    .action(async (_, command: Command) => end((await import("./commands/check.ts")).check(command.optsWithGlobals())));

  program
    .command("reload")
    .description("have the running node read its configuration anew")
    .action(async (_, command: Command) => end(await (await import("./commands/reload.ts")).reload(command.optsWithGlobals())));

  program
    .command("status")
    .description("show the running node, its listeners and its apps")
    .action(async (_, command: Command) => end(await (await import("./commands/status.ts")).status(command.optsWithGlobals())));

  addMachineCommands(program.command("machines").description("list, start, stop or suspend machines"), end);

  program
    .command("regions")
    .description("list regions by their distance")
    .option("--from <code>", "region to measure from (default: that of the configuration)")
    .action(async (_, command: Command) => end((await import("./commands/regions.ts")).regions(command.optsWithGlobals())));

  program
    .command("certs")
    .description("certificates of the node")
    .command("root")
    .description("print the local authority's root certificate, for clients to trust")
    .action(async (_, command: Command) => end(await (await import("./commands/certs.ts")).printRoot(command.optsWithGlobals())));

  program
    .command("explain")
    .description("show which machines a request could reach, why, and what would happen to it")
    .argument("<url>")
    .option("--from <region>", "region in which the request comes in (default: that of the node)")
    .action(async (url: string, _, command: Command) =>
      end(await (await import("./commands/explain.ts")).explain(url, command.optsWithGlobals())),
    );

  return program;
}

function addMachineCommands(machines: Command, end: (code: ExitCode) => void): void {
  machines
    .command("list")
    .description("list the machines of an app, or of all")
    .argument("[app]")
    .action(async (app: string | undefined, _, command: Command) => {
      const { listMachines } = await import("./commands/machines.ts");
      end(await listMachines(app ?? null, command.optsWithGlobals<GlobalOptions>()));
    });
  for (const action of ["start", "stop", "suspend"] as const) {
    machines
      .command(action)
      .description(`${action} a machine, and wait until that is done`)
      .argument("<machine...>", "app and machine, by id or name: hello ams, or hello/ams")
      .action(async (target: string[], _, command: Command) => {
        const { changeMachine } = await import("./commands/machines.ts");
        end(await changeMachine(action, target, command.optsWithGlobals<GlobalOptions>()));
      });
  }
}

function failed(error: unknown): ExitCode {
  // Help and version end this way too. Whatever else it is, commander has printed it.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.invalid;
  if (!(error instanceof ProxyError)) {
    console.error("kittiwake: failed in a way that nobody foresaw; this is a bug");
    console.error(error);
    return EXIT.failure;
  }
  console.error(`kittiwake: ${error.message}`);
  return exitCodeOf(error.code);
}

/** `kittiwake regions | head` is no failure. */
function endQuietlyWithoutReader(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.ok);
    throw error;
  });
}
