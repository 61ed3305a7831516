// The access log: one JSON line an exchange, written by the worker that served it.

import { pino } from "pino";

/** What a line says; times in milliseconds, zero and null left out. */
export interface AccessLine {
  readonly id: string;
  readonly client: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly protocol: string;
  readonly scheme: string;
  /** Public port, of a connection without the http handler. */
  readonly port: number | undefined;
  /** 0: the client left before there was one, or there was no HTTP. */
  readonly status: number;
  /** Error code; docs/errors.md. */
  readonly code: string | undefined;
  /** What Fly calls it, where it has a code for it. */
  readonly fly_code: string | undefined;
  /** In Fly's words, where they say more. */
  readonly message: string | undefined;
  readonly app: string | undefined;
  readonly region: string | undefined;
  readonly machine: string | undefined;
  readonly attempts: number;
  /** It was sent to a machine that fails its checks, because all that run do. */
  readonly panic: true | undefined;
  /** From the request's head to the end of the response. */
  readonly duration_ms: number;
  /** To the head of the response. */
  readonly ttfb_ms: number | undefined;
  /** How long the request was held. */
  readonly wait_ms: number | undefined;
  /** The part of it that was a machine waking. */
  readonly wake_ms: number | undefined;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly user_agent: string | undefined;
}

export interface AccessLog {
  write(line: AccessLine): void;
  close(): void;
}

/** A write to a pipe of at most this size is not torn by other writers (PIPE_BUF). */
const PIPE_BYTES = 4096;
/** Lines gather up to this size, */
const GATHERED_BYTES = 2048;
/** and for this long. */
const FLUSH_MS = 250;
/** What waits for a slow disk or reader at most; lines beyond are dropped. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** @param destination "stdout", "stderr" or a path */
export function createAccessLog(destination: string): AccessLog {
  const fd = destination === "stdout" ? 1 : destination === "stderr" ? 2 : null;
  const stream = pino.destination({
    dest: fd ?? destination,
    append: true,
    mode: 0o600,
    sync: false,
    minLength: GATHERED_BYTES,
    maxWrite: PIPE_BYTES,
    maxLength: MAX_WAITING_BYTES,
  });
  // A full disk must not end a worker; the main log, on the same disk more often than not, says so.
  stream.on("error", () => {});
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: () => ({ level: "access" }) } }, stream);
  const timer = setInterval(() => stream.flush(), FLUSH_MS);
  timer.unref();
  return {
    write: (line) => log.info(line),
    close: () => {
      clearInterval(timer);
      stream.flushSync();
    },
  };
}
