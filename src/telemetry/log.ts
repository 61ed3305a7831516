// The log: JSON, one line an event, to stdout, stderr or a file. Main thread and workers each open their own on the same destination;
// nothing here ever blocks a thread on a slow reader.

import { closeSync, openSync, writeSync } from "node:fs";

import { type LevelWithSilent, type Logger, pino } from "pino";

import { type Blame, ProxyError } from "../core/errors.ts";

export interface LogOptions {
  readonly level: LevelWithSilent;
  /** "stdout", "stderr", or the path of a file, which is appended to and created for its owner alone. */
  readonly destination: string;
  /** Which thread or node speaks; a field of every line. */
  readonly name?: string;
}

/** Only who created the log closes it; components are given it as pino's Logger. */
export interface NodeLog extends Logger {
  /** Opens the file anew after it was moved away (logrotate). Does nothing for stdout and stderr. */
  reopen(): void;
  /** Resolves when all that was logged is written, or cannot be. Nothing may be logged after. */
  close(): Promise<void>;
}

/** PIPE_BUF on Linux: up to here the kernel keeps a write to a pipe in one piece, so that lines of several threads do not mix. */
const MAX_WRITE_BYTES = 4096;

/** What waits for a slow reader at most; lines beyond are dropped, counted, and reported once it reads again. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

const SECRETS = [
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "password",
  "secret",
  "token",
  "api_key",
  "apiKey",
  "private_key",
  "privateKey",
  "privateKeyPem",
];

/** Objects that are logged whole at times. Named one by one, as a wildcard costs ten times the line itself. */
const HOLDERS_OF_SECRETS = ["headers", "env", "config", "certificate"];

const LEVELS: Readonly<Record<Blame, "debug" | "warn" | "error">> = { client: "debug", upstream: "warn", proxy: "error" };

/** Throws `config_invalid` when the file cannot be written. */
export function createLog({ level, destination, name }: LogOptions): NodeLog {
  const fd = destination === "stdout" ? 1 : destination === "stderr" ? 2 : null;
  if (fd === null) assertWritable(destination);
  const stream = pino.destination({
    dest: fd ?? destination,
    append: true,
    mode: 0o600,
    sync: false,
    maxWrite: MAX_WRITE_BYTES,
    maxLength: MAX_WAITING_BYTES,
  });
  const log = pino(
    {
      level,
      base: name === undefined ? null : { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: [
        ...SECRETS.map((key) => pathTo(key)),
        ...HOLDERS_OF_SECRETS.flatMap((holder) => SECRETS.map((key) => holder + pathTo(key, "."))),
      ],
    },
    stream,
  );

  let dropped = 0;
  stream.on("drop", () => dropped++);
  stream.on("drain", () => {
    if (dropped === 0) return;
    const lines = dropped;
    dropped = 0;
    log.warn({ lines }, "the reader of the log was too slow, so lines were dropped");
  });

  // A full disk or a reader that left must not end a thread. Said once a kind, where there is still someone to read it.
  const reported = new Set<string>();
  stream.on("error", (error: NodeJS.ErrnoException) => {
    const code = error.code ?? error.message;
    if (fd !== 2 && !reported.has(code)) complain(`kittiwake: cannot write the log to ${destination}: ${error.message}\n`);
    reported.add(code);
  });

  return Object.assign(log, {
    reopen: () => {
      if (fd === null) stream.reopen();
    },
    close: () => {
      // After a broken pipe the stream ignores all calls, and would never say that it is closed.
      if (reported.has("EPIPE")) return Promise.resolve();
      return new Promise<void>((resolve) => {
        stream.once("close", resolve);
        stream.once("error", () => resolve());
        // Lines were dropped, so others wait; once those are out, the listener above says how many are missing.
        if (dropped > 0) stream.once("drain", () => stream.end());
        else stream.end();
      });
    },
  });
}

/** Logs a failure at the level its blame deserves: a client's at debug, a machine's at warn, our own, with its stack, at error. */
export function logFailure(log: Logger, error: unknown, fields: Readonly<Record<string, unknown>> = {}): void {
  const level = error instanceof ProxyError ? LEVELS[error.blame] : "error";
  if (!log.isLevelEnabled(level)) return;
  if (!(error instanceof ProxyError)) return log.error({ ...fields, code: "internal", err: error }, "unexpected failure");
  if (level === "error") return log.error({ ...fields, code: error.code, err: error }, error.message);
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {};
  log[level]({ ...fields, code: error.code, ...cause }, error.message);
}

/** A key as pino's redaction wants it: `token`, `.token`, `["set-cookie"]`. */
function pathTo(key: string, separator = ""): string {
  return /^\w+$/.test(key) ? `${separator}${key}` : `["${key}"]`;
}

function assertWritable(path: string): void {
  try {
    closeSync(openSync(path, "a", 0o600));
  } catch (cause) {
    throw new ProxyError("config_invalid", `cannot write the log to "${path}"; name a file in a directory that exists and is writable`, {
      cause,
    });
  }
}

function complain(message: string): void {
  try {
    writeSync(2, message);
  } catch {
    // Nobody is left to tell.
  }
}
