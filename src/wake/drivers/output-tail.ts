// Follows one log file that a machine writes and the node reads. A file rather than a pipe: the machine outlives the node, and
// no reader can block it. How far it was read is kept beside the file, so that the next node goes on from there.
//
//   machine ──O_APPEND──► stdout.log ──inotify──► pump ──step──► lines ──► onLine
//                         stdout.log.pos (bytes handed on)
//
// Bounded in every direction: lines a step, bytes a line, bytes on disk (see the constants). Between the look at a fully
// read file and its truncation lie some µs, in which a line may be written and lost. While no node runs, nothing truncates.

import { closeSync, constants, fstatSync, ftruncate, ftruncateSync, openSync, readSync, watch, writeSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";

import { LINE_BYTES, takeLines } from "./output-lines.ts";
import type { OutputPump, Pumped } from "./output-pump.ts";

export interface OutputTailOptions {
  /** The log file; it exists. */
  readonly path: string;
  readonly pump: OutputPump;
  onLine(line: string): void;
}

/** A file that was read to its end is emptied when it is larger than this. */
export const TRUNCATE_BYTES = 8 * 1024 * 1024;
/** Output that is written faster than it can be handed on is dropped when this much waits. */
export const BACKLOG_BYTES = 32 * 1024 * 1024;
/** Of a machine that ended, at most this much unread output is still handed on. */
const FINAL_BYTES = 256 * 1024;

const CHUNK_BYTES = 4 * LINE_BYTES;
const LINES_PER_STEP = 500;
/** Where inotify has no watch left to give, the file is looked at this often. */
const POLL_MS = 500;
const POSITION_DIGITS = 16;

const truncate = promisify(ftruncate);

export class OutputTail implements Pumped {
  readonly #options: OutputTailOptions;
  readonly #log: number;
  readonly #positionFile: number;
  /** Bytes of the file that were handed on; always the start of a line. */
  #position: number;
  /** What wakes it; null while it waits for its turn in the pump. */
  #alarm: { close(): void } | null = null;
  /** A truncation under way. */
  #emptying: Promise<void> | null = null;
  #isClosed = false;

  /** Starts where an earlier tail of the file left off; where none did, at the file's end. */
  constructor(options: OutputTailOptions) {
    this.#options = options;
    this.#log = openSync(options.path, constants.O_RDWR);
    this.#positionFile = openSync(positionPath(options.path), constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#position = this.#readPosition() ?? fstatSync(this.#log).size;
    this.#moveTo(this.#position);
    options.pump.add(this);
  }

  step(): boolean {
    if (this.#isClosed || this.#emptying !== null) return false;
    try {
      return this.#step();
    } catch (error) {
      this.close();
      this.#options.onLine(`[kittiwake: this output can no longer be read: ${(error as Error).message}]`);
      return false;
    }
  }

  /** The machine has ended: hands on what is left, the unfinished last line too, empties the file, and closes. */
  async finish(): Promise<void> {
    await this.#emptying;
    if (this.#isClosed) return;
    this.#skipTo(fstatSync(this.#log).size - FINAL_BYTES);
    // The deadline is for a survivor that still writes; what FINAL_BYTES hold takes a few hundred steps at most.
    const deadline = Date.now() + 1000;
    while (Date.now() < deadline && this.step()) await setImmediate();
    await this.#emptying;
    if (this.#isClosed) return;
    const rest = this.#read(fstatSync(this.#log).size);
    if (rest.length > 0) this.#options.onLine(rest.toString("utf8"));
    await this.#emptyInBackground();
    this.close();
  }

  /** Stops following; the next tail goes on from here. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.pump.remove(this);
    this.#disarm();
    closeSync(this.#positionFile);
    // A truncation under way must not find another file behind the descriptor.
    if (this.#emptying === null) closeSync(this.#log);
    else void this.#emptying.then(() => closeSync(this.#log));
  }

  #step(): boolean {
    const { size } = fstatSync(this.#log);
    // Somebody else emptied it, such as a log rotation that copies and truncates.
    if (size < this.#position) this.#moveTo(0);
    const chunk = this.#read(size);
    const { lines, bytes } = takeLines(chunk, LINES_PER_STEP);
    for (const line of lines) this.#options.onLine(line);
    if (bytes > 0) this.#moveTo(this.#position + bytes);
    // After some lines, not before: the worst flood is still heard.
    if (size - this.#position > BACKLOG_BYTES) {
      this.#skipTo(size);
      void this.#emptyInBackground().then(() => this.#isClosed || this.#options.pump.add(this));
      return false;
    }
    if (chunk.length === CHUNK_BYTES || lines.length === LINES_PER_STEP) return true;
    const end = this.#emptyIfLarge(chunk.subarray(bytes));
    this.#arm();
    if (fstatSync(this.#log).size === end) return false;
    // It grew before the alarm was set.
    this.#disarm();
    return true;
  }

  /**
   * Prefers a moment when the last line is complete; a program that never ends its line is cut at twice the size.
   * Returns where the file ends, as far as it was read.
   */
  #emptyIfLarge(rest: Buffer): number {
    const end = this.#position + rest.length;
    const limit = rest.length === 0 ? TRUNCATE_BYTES : 2 * TRUNCATE_BYTES;
    if (end <= limit || fstatSync(this.#log).size !== end) return end;
    if (rest.length > 0) this.#options.onLine(rest.toString("utf8"));
    this.#empty();
    return 0;
  }

  #skipTo(position: number): void {
    if (position <= this.#position) return;
    this.#options.onLine(`[kittiwake: ${position - this.#position} bytes of output dropped, they came faster than they could be logged]`);
    this.#moveTo(position);
  }

  #read(size: number): Buffer {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(size - this.#position, 0)));
    return chunk.subarray(0, readSync(this.#log, chunk, 0, chunk.length, this.#position));
  }

  /** Safe under the writer's feet: with O_APPEND its next write goes to the new end. */
  #empty(): void {
    ftruncateSync(this.#log, 0);
    this.#moveTo(0);
  }

  /** For files of any size: giving back many pages takes the kernel long, so not on this thread. No step is done meanwhile. */
  #emptyInBackground(): Promise<void> {
    this.#emptying = truncate(this.#log, 0)
      // The next step notes it; after a failure that step finds the file as it was.
      .then(() => void (this.#position = 0))
      .catch(() => {})
      .finally(() => (this.#emptying = null));
    return this.#emptying;
  }

  #moveTo(position: number): void {
    this.#position = position;
    // One small write into the page cache: it outlives the node, and a crash repeats one step's lines at most.
    writeSync(this.#positionFile, String(position).padStart(POSITION_DIGITS, "0"), 0);
  }

  #readPosition(): number | null {
    const digits = Buffer.alloc(POSITION_DIGITS);
    const length = readSync(this.#positionFile, digits, 0, POSITION_DIGITS, 0);
    return length === POSITION_DIGITS && /^\d+$/.test(digits.toString("latin1")) ? Number(digits.toString("latin1")) : null;
  }

  /** One alarm, then none until it has been read to its end again: a flood would bring thousands that say nothing new. */
  #arm(): void {
    this.#disarm();
    const wake = (): void => {
      this.#disarm();
      this.#options.pump.add(this);
    };
    try {
      this.#alarm = watch(this.#options.path, { persistent: false }, wake).on("error", wake);
    } catch {
      const timer = setTimeout(wake, POLL_MS).unref();
      this.#alarm = { close: () => clearTimeout(timer) };
    }
  }

  #disarm(): void {
    this.#alarm?.close();
    this.#alarm = null;
  }
}

/** Where it is kept how far a log file was handed on. */
export function positionPath(logPath: string): string {
  return `${logPath}.pos`;
}
