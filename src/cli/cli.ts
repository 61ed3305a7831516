// The command line: what the commands are called and what they take. Each is in commands/, and loaded only when it is wanted, so that a short
// command does not pay for a whole node.

import { inspect } from "node:util";

import { Command, CommanderError } from "commander";

import { ProxyError } from "../core/errors.ts";
import type { GlobalOptions } from "./config-source.ts";
import { EXIT, EXIT_CODES_HELP, type ExitCode, exitCodeOf } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "../core/version.ts";

/** Runs one command. Never throws: what failed is on stderr, and in the exit code. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const program = createProgram(terminal, (code) => (exitCode = code));
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    return failed(error, terminal);
  }
}

function createProgram(terminal: Terminal, end: (code: ExitCode) => void): Command {
  const program = new Command("kittiwake")
    .description("A self-hosted anycast edge: nearest healthy machine over HTTPS, woken by its first request.")
    .version(VERSION)
    .option("--config <path>", "configuration of the node (default: $KITTIWAKE_CONFIG, kittiwake.toml, config/kittiwake.toml)")
    .option("--admin <url>", "admin API of the node to ask (default: as in the configuration)")
    .option("--json", "print JSON, for programs")
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("afterAll", EXIT_CODES_HELP)
    .configureOutput({ writeOut: (text) => terminal.print(text.trimEnd()), writeErr: (text) => terminal.complain(text.trimEnd()) })
    .exitOverride();

  program
    .command("run")
    .description("run a node until SIGINT or SIGTERM; SIGHUP reads the configuration anew")
    .option("--keep-machines", "leave machines running on exit, for the next start to adopt")
    .action(async (_, command: Command) => end(await (await import("./commands/run.ts")).run(command.optsWithGlobals(), terminal)));

  program
    .command("check")
    .description("check the configuration, or single files of it, and print every problem")
    .argument("[files...]", "kittiwake.toml or fly.toml files, each by itself")
    .action(async (files: string[], _, command: Command) =>
      end((await import("./commands/check.ts")).check(files, command.optsWithGlobals(), terminal)),
    );

  program
    .command("reload")
    .description("have the running node read its configuration anew")
    .action(async (_, command: Command) => end(await (await import("./commands/reload.ts")).reload(command.optsWithGlobals(), terminal)));

  program
    .command("status")
    .description("show the running node, its listeners and its apps")
    .action(async (_, command: Command) => end(await (await import("./commands/status.ts")).status(command.optsWithGlobals(), terminal)));

  addMachineCommands(program.command("machines").description("list, start, stop or suspend machines"), terminal, end);

  program
    .command("regions")
    .description("list regions by their distance")
    .option("--from <code>", "region to measure from (default: that of the configuration)")
    .action(async (_, command: Command) => end((await import("./commands/regions.ts")).regions(command.optsWithGlobals(), terminal)));

  addCertificateCommands(program.command("certs").description("certificates: list, import, export …"), terminal, end);

  program
    .command("explain")
    .description("show which machines a request could reach, why, and what would happen to it")
    .argument("<url>")
    .option("--from <region>", "region in which the request comes in (default: that of the node)")
    .option("--client <ip>", "address of the client")
    .option("--method <method>", "of the request (default: GET)")
    .option("--header <field>", "of the request, such as 'fly-prefer-region: nrt'; several times", collected)
    .option("--down <what>", "what if a region, or a machine such as hello/ams, were down; several times", collected)
    .option("--load <load>", "what if a machine had so many in flight, such as hello/ams=30; several times", collected)
    .action(async (url: string, _, command: Command) =>
      end(await (await import("./commands/explain.ts")).explain(url, command.optsWithGlobals(), terminal)),
    );

  program
    .command("simulate")
    .description("run a scenario with the decisions of the real edge under a virtual clock: latencies, wakes, machine-hours")
    .argument("<scenario>", "a scenario file")
    .option("--seed <number>", "instead of that of the scenario")
    .option("--chart <file>", "write a picture of the course, as SVG")
    .action(async (file: string, _, command: Command) =>
      end((await import("./commands/simulate.ts")).simulate(file, command.optsWithGlobals(), terminal)),
    );

  return program;
}

function addMachineCommands(machines: Command, terminal: Terminal, end: (code: ExitCode) => void): void {
  machines
    .command("list")
    .description("list the machines of an app, or of all")
    .argument("[app]")
    .action(async (app: string | undefined, _, command: Command) => {
      const { listMachines } = await import("./commands/machines.ts");
      end(await listMachines(app ?? null, command.optsWithGlobals<GlobalOptions>(), terminal));
    });
  for (const action of ["start", "stop", "suspend"] as const) {
    machines
      .command(action)
      .description(`${action} a machine, and wait until that is done`)
      .argument("<machine...>", "app and machine, by id or name: hello ams, or hello/ams")
      .action(async (target: string[], _, command: Command) => {
        const { changeMachine } = await import("./commands/machines.ts");
        end(await changeMachine(action, target, command.optsWithGlobals<GlobalOptions>(), terminal));
      });
  }
}

function addCertificateCommands(certs: Command, terminal: Terminal, end: (code: ExitCode) => void): void {
  const commands = () => import("./commands/certificates.ts");
  certs
    .command("root")
    .description("print the local authority's root certificate, for clients to trust")
    .action(async (_, command: Command) => end(await (await import("./commands/certs.ts")).printRoot(command.optsWithGlobals(), terminal)));
  certs
    .command("dns")
    .description("print the CNAME records that names need for DNS-01, and whether they are set")
    .argument("[names...]", "host names, with or without a wildcard (default: every wildcard that an app declares)")
    .action(async (names: string[], _, command: Command) =>
      end(await (await import("./commands/certs-dns.ts")).showDelegations(names, command.optsWithGlobals(), terminal)),
    );
  certs
    .command("list")
    .description("list the certificates of the fleet, with expiry, last error and next attempt")
    .action(async (_, command: Command) => end(await (await commands()).listCertificates(command.optsWithGlobals(), terminal)));
  certs
    .command("show")
    .description("show all that is known of a name's certificates")
    .argument("<name>", "a name, or the id of a certificate")
    .action(async (name: string, _, command: Command) =>
      end(await (await commands()).showCertificate(name, command.optsWithGlobals(), terminal)),
    );
  certs
    .command("import")
    .description("give the fleet a certificate of your own, which wins over others until it expires")
    .argument("<files...>", "PEM, DER or PKCS #12, in any order: the certificate, its chain, its private key")
    .option("--key <file>", "file with the private key")
    .option("--password-file <file>", "file with the password of the others")
    .action(async (files: string[], _, command: Command) => {
      const { importCertificate } = await import("./commands/import-certificate.ts");
      end(await importCertificate(files, command.optsWithGlobals(), terminal));
    });
  certs
    .command("export")
    .description("print a certificate with its chain as PEM")
    .argument("<name>", "a name, or the id of a certificate")
    .option("--source <source>", "acme or imported, where a name has both")
    .option("--private-key", "print the private key too; the admin API must have a token")
    .action(async (name: string, _, command: Command) =>
      end(await (await commands()).exportCertificate(name, command.optsWithGlobals(), terminal)),
    );
  certs
    .command("delete")
    .description("delete a certificate from the fleet")
    .argument("<name>", "a name, or the id of a certificate")
    .option("--source <source>", "acme or imported, where a name has both")
    .action(async (name: string, _, command: Command) =>
      end(await (await commands()).deleteCertificate(name, command.optsWithGlobals(), terminal)),
    );
  certs
    .command("renew")
    .description("have a new certificate ordered for a name now, and wait for it")
    .argument("<name>", "a name that an app declares, or a wildcard")
    .action(async (name: string, _, command: Command) => {
      const { renewCertificate } = await import("./commands/renew-certificate.ts");
      end(await renewCertificate(name, command.optsWithGlobals<GlobalOptions>(), terminal));
    });
  certs
    .command("revoke")
    .description("have the authority declare a name's certificate void; another one is ordered")
    .argument("<name>", "the name or wildcard of the certificate")
    .option("--reason <reason>", "unspecified, key-compromise, affiliation-changed, superseded or cessation-of-operation", "unspecified")
    .action(async (name: string, _, command: Command) => {
      const { revokeCertificate } = await import("./commands/renew-certificate.ts");
      end(await revokeCertificate(name, command.optsWithGlobals(), terminal));
    });
  certs
    .command("rotate-secret")
    .description("seal all private keys in the state store anew, with a new secret where it is in a file")
    .action(async (_, command: Command) => end(await (await commands()).rotateSecret(command.optsWithGlobals(), terminal)));
}

/** An option that may be given several times. */
function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function failed(error: unknown, terminal: Terminal): ExitCode {
  // Help and version end this way too. Whatever else it is, commander has printed it.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.invalid;
  if (!(error instanceof ProxyError)) {
    terminal.complain("kittiwake: failed in a way that nobody foresaw; this is a bug");
    terminal.complain(inspect(error));
    return EXIT.failure;
  }
  terminal.complain(`kittiwake: ${error.message}`);
  return exitCodeOf(error.code);
}
