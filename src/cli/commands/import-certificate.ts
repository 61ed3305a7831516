// `kittiwake certs import`: reads the files here, where they and their password are, and gives the running node what is in them.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

import { plainPem } from "../../certs/plain-pem.ts";
import { ProxyError } from "../../core/errors.ts";
import type { GlobalOptions } from "../config-source.ts";
import { connect, refusePlainWay } from "../connect.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { printable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";
import { describeCertificate } from "./certificates.ts";

export interface ImportOptions extends GlobalOptions {
  /** File with the private key. */
  readonly key?: string;
  /** File with the password of the others; never on the command line, where every user of the machine could read it. */
  readonly passwordFile?: string;
}

export async function importCertificate(files: readonly string[], options: ImportOptions, terminal: Terminal): Promise<ExitCode> {
  const password =
    options.passwordFile === undefined ? null : (await read(options.passwordFile, terminal)).toString("utf8").replace(/\r?\n$/, "");
  const parts: string[] = [];
  for (const file of options.key === undefined ? files : [...files, options.key]) {
    const bytes = await read(file, terminal);
    try {
      parts.push(plainPem(bytes, password));
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      throw new ProxyError(error.code, `${file}: ${error.message}`, { cause: error });
    }
  }
  await using client = await connect(options, terminal);
  refusePlainWay(client.url);
  const result = await client.importCertificate(parts.join(""));
  if (options.json === true) {
    printJson(terminal, result);
    return EXIT.ok;
  }
  terminal.print(describeCertificate(result.certificate));
  for (const id of result.replaced) terminal.print(`replaced:      ${printable(id)}`);
  for (const note of result.notes) terminal.complain(`note: ${printable(note)}`);
  return EXIT.ok;
}

async function read(file: string, { cwd }: Terminal): Promise<Buffer> {
  try {
    return await readFile(resolve(cwd, file));
  } catch (cause) {
    throw new ProxyError("bad_request", `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
