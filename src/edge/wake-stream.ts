// What a waiting page listens to: server-sent events on the wake of an app (WHATWG HTML, 9.2), one a second, until a machine can serve or
// none could be woken. Waits at the gate like a request, bounded as those are, but takes no place on a machine.

import type { Aim } from "../core/aim.ts";
import type { Deadlines, Timed } from "../core/deadlines.ts";
import type { ErrorCode, ProxyError } from "../core/errors.ts";
import { EditedFields } from "../http/edited-head.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Waiting } from "../wake/gate.ts";
import type { Exchange } from "./exchange.ts";

/** What there is to tell of a wake, in milliseconds. */
export interface WakeProgress {
  readonly elapsedMs: number;
  readonly leftMs: number;
}

export interface WakeStreamOptions {
  readonly exchange: Exchange;
  readonly aim: Aim | null;
  readonly deadlines: Deadlines;
  readonly progress: () => WakeProgress;
  /** true: a machine can serve. Otherwise why none ever will, or null: not yet. */
  readonly look: () => true | ErrorCode | null;
  /** What a failed wake comes to: true where requests have another way to go. */
  readonly onFailed: (error: ProxyError) => true | ErrorCode;
}

const PERIOD_MS = 1000;

/** A proxy in front is to pass each event on as it comes (`x-accel-buffering` is nginx' word for that). */
const HEAD: ResponseHead = {
  fields: EditedFields.of([
    ["content-type", "text/event-stream"],
    ["cache-control", "no-store"],
    ["x-content-type-options", "nosniff"],
    ["x-accel-buffering", "no"],
  ]),
  status: 200,
  reason: "OK",
  version: 11,
  body: "chunked",
  contentLength: 0,
  upgrade: "",
  connectionNames: null,
};

export class WakeStream implements Waiting, Timed {
  deadlineMs = Infinity;
  readonly waitsFor = "asleep";
  readonly aim: Aim | null;
  readonly #options: WakeStreamOptions;
  #isReading = true;

  constructor(options: WakeStreamOptions) {
    this.#options = options;
    this.aim = options.aim;
  }

  /** Sends the head, and how far it is. */
  begin(): void {
    const { exchange, deadlines } = this.#options;
    exchange.state = "responding";
    exchange.status = HEAD.status;
    exchange.channel.sendHead(HEAD, exchange);
    deadlines.add(this);
    this.#tellProgress();
  }

  onGateOpen(): boolean {
    const found = this.#options.look();
    if (found === null) return false;
    this.end(found);
    return true;
  }

  onGateFailed(error: ProxyError): void {
    // Of a node that ends, the page connects anew, to whoever is next.
    this.end(error.code === "draining" ? null : this.#options.onFailed(error));
  }

  onDeadline(): void {
    this.#tellProgress();
    this.#options.exchange.channel.flush();
  }

  /** With its last event, or null: none. Ends the exchange, which calls `stop`. */
  end(found: true | ErrorCode | null): void {
    const { exchange } = this.#options;
    if (found !== null) this.#tell(found === true ? "ready" : "failed", found === true ? {} : { code: found });
    exchange.onEnd();
    exchange.channel.flush();
  }

  /** It is over, for whatever reason. */
  stop(): void {
    this.deadlineMs = Infinity;
    this.#options.deadlines.remove(this);
  }

  #tellProgress(): void {
    const { deadlines, progress } = this.#options;
    this.deadlineMs = deadlines.nowMs + PERIOD_MS;
    const { elapsedMs, leftMs } = progress();
    // Who does not read is not told more; the connection's own patience ends it.
    if (this.#isReading) this.#tell("progress", { elapsed_ms: Math.round(elapsedMs), left_ms: Math.round(leftMs) });
  }

  #tell(event: string, data: object): void {
    const bytes = Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    this.#isReading = this.#options.exchange.channel.sendData(bytes, 0, bytes.length);
  }
}
