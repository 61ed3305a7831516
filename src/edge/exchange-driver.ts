// What an exchange asks of whoever decides for it: its part of the bargain between exchange.ts and handle-request.ts.

import type { ResponseHead } from "../http/message.ts";
import type { Deadlines } from "../core/deadlines.ts";
import type { ProxyError } from "../core/errors.ts";
import type { Asleep } from "./asleep.ts";
import type { Attempts } from "./attempts.ts";
import type { Compressors } from "./compressor.ts";
import type { EdgeMachine } from "./edge-app.ts";
import type { Exchange } from "./exchange.ts";
import type { KeptBodies } from "./kept-body.ts";
import type { Replays } from "./replays.ts";

/** What decides for an exchange; `RequestHandler` in handle-request.ts. */
export interface ExchangeDriver {
  readonly attempts: Attempts;
  readonly asleep: Asleep;
  readonly compressors: Compressors;
  readonly deadlines: Deadlines;
  /** How long a request may take from its head to the end of its response; 0: for ever. */
  readonly totalMs: number;
  /** Longest body that is held until it is whole. */
  readonly heldBodyBytes: number;
  /** Copies of longer ones. */
  readonly keptBodies: KeptBodies;
  /** The machine has answered, if only with an error; the head is not looked at yet. */
  onAnswer(exchange: Exchange, head: ResponseHead): void;
  /** A WebSocket goes through. */
  onWebSocket(exchange: Exchange): void;
  readonly replays: Replays;
  handle(exchange: Exchange): void;
  /** The body that was waited for is here. */
  onBodyHeld(exchange: Exchange): void;
  /** Tries again after a failed attempt, elsewhere if it can. `wasStale`: the failure says nothing about the machine. */
  onAttemptFailed(exchange: Exchange, error: ProxyError, wasSent: boolean, wasStale: boolean): void;
  /** A request that waited tries to go on. */
  onGateOpen(exchange: Exchange): boolean;
  /** One that waited between attempts goes on. */
  onBackedOff(exchange: Exchange): void;
  attempt(exchange: Exchange, machine: EdgeMachine): void;
  /** The exchange is over, whatever became of it. */
  onDone(exchange: Exchange): void;
}
