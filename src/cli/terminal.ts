// What a command sees of the place where it was typed. Given to every command, so that several can be tried in one process.

export interface Terminal {
  /** Relative paths start here. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What was asked for: lines for stdout, without the last line break. */
  print(text: string): void;
  /** What went wrong, for stderr. */
  complain(text: string): void;
}

/** That of this process. */
export function processTerminal(): Terminal {
  // `kittiwake regions | head` is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  return {
    cwd: process.cwd(),
    env: process.env,
    print: (text) => console.log(text),
    complain: (text) => console.error(text),
  };
}

/** For `--json`. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.print(JSON.stringify(value, null, 2));
}
