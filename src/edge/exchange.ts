// Hot path. One request and its response: what of it has happened, and what each news from the client or the machine means for it.
// Which machine to try is decided in handle-request.ts; this file only carries out.
//
//     holding ──► routing ──► waiting ──► sent ──► responding ──► done
//                    └───────────────────►│  └────► tunnel ──────┘

import type { Fields, RequestHead, ResponseHead } from "../http/message.ts";
import type { HttpOptions } from "../core/app.ts";
import type { Aim } from "../core/aim.ts";
import { ERRORS, ProxyError, type ErrorCode } from "../core/errors.ts";
import type { CarriedExchange, Carrier } from "../upstream/connection.ts";
import { clientLines, machineFields, machineHead, type AddedField, type ClientFacts, type RequestFacts } from "../upstream/forward.ts";
import type { Bond } from "./affinity.ts";
import type { WordOnSleep } from "./asleep.ts";
import { isInPanic, type Attempted } from "./attempts.ts";
import type { BackOff } from "./back-off.ts";
import type { ClientChannel, ClientEvents, OwnFacts, OwnField } from "./client-channel.ts";
import type { EdgeMachine, EdgeService } from "./edge-app.ts";
import { compressedBody, type CompressedBody, type Compressing } from "./compressed-body.ts";
import { editResponse } from "./edit-response.ts";
import type { ExchangeDriver } from "./exchange-driver.ts";
import { IdleWatch } from "./idle-watch.ts";
import { canBeHeld, type KeptBody, wholeBody } from "./kept-body.ts";
import { mayAskForReplay } from "./replay-response.ts";
import { refusedOf, respondWithError, respondWithOwn } from "./respond.ts";
import type { Steered } from "./steered.ts";
import type { SwallowedBody } from "./swallowed-body.ts";
import { Tunnel } from "./tunnel.ts";
import { isTakenForTunnel, isUpgradeAsked } from "./upgrade.ts";

/** How long both ends of a WebSocket may take to answer to a close frame. */
const GOODBYE_MS = 5000;

type State = "routing" | "holding" | "waiting" | "sent" | "responding" | "tunnel" | "done";

export class Exchange implements CarriedExchange, ClientEvents, Attempted, RequestFacts, OwnFacts, Compressing {
  readonly channel: ClientChannel;
  /** That of its channel, or whom a trusted proxy there names. */
  client: ClientFacts;
  readonly head: RequestHead;
  readonly id: string;
  readonly traceparent: string;
  readonly startedText: string;
  readonly isHeadRequest: boolean;
  readonly expectsContinue: boolean;
  readonly requestBody: "none" | "length" | "chunked";
  readonly #driver: ExchangeDriver;

  state: State = "routing";
  service: EdgeService | null = null;
  /** What its port asks for; null for nothing, the usual case. */
  options: HttpOptions | null = null;
  hsts: string | null = null;
  /** Does the machine speak HTTP/2 on its port? */
  isHttp2Backend = false;
  /** The machine that a place is claimed on. */
  machine: EdgeMachine | null = null;
  /** Machines that failed this request. */
  tried: EdgeMachine[] | null = null;
  aim: Aim | null = null;
  /** What a request brings along that was sent on its way by more than nearness; null for the usual one. */
  steered: Steered | null = null;
  /** What its client did before, and what it is to do itself; null where the app asks for nothing of the kind. */
  bond: Bond | null = null;
  cookies: readonly string[] | null = null;
  attempts = 0;
  wasSeen = false;
  backOff: BackOff | null = null;
  upstream: Carrier | null = null;
  waitsFor: "asleep" | "full" = "asleep";
  /** null: this is none yet. */
  #tunnel: Tunnel | null = null;
  requestEnded = false;
  #trailersTaken = false;
  /** All of the body that has come, for every attempt; null where nothing has, or where it is not kept. */
  #body: KeptBody | null = null;
  /** The machine takes no more of the request's body for now. */
  #isBodyBlocked = false;
  /** Of a response that nobody gets, until it is over. */
  swallowed: SwallowedBody | null = null;
  /** Until the end of the response, where the node limits how long a request may take in all. */
  #total: IdleWatch | null = null;
  /** From the head that went to the machine to the last that comes from it, where the service limits its silence. */
  #idle: IdleWatch | null = null;
  /** Only between a compressed response's head and its end. */
  #compressed: CompressedBody | null = null;
  #responseEnded = false;

  /** For the log and the metrics: clock of performance.now(), 0 where it did not happen. */
  readonly startedMs: number;
  sentMs = 0;
  respondedMs = 0;
  heldSinceMs = 0;
  heldMs = 0;
  hadToWake = false;
  status = 0;
  code: ErrorCode | null = null;
  bytesReceived = 0;
  bytesSent = 0;
  /** Region and name of the last machine tried. */
  lastMachine: EdgeMachine | null = null;

  constructor(
    driver: ExchangeDriver,
    channel: ClientChannel,
    head: RequestHead,
    id: string,
    traceparent: string,
    startedText: string,
    startedMs: number,
  ) {
    this.#driver = driver;
    this.channel = channel;
    this.client = channel.client;
    this.head = head;
    this.id = id;
    this.traceparent = traceparent;
    this.startedText = startedText;
    this.startedMs = startedMs;
    this.isHeadRequest = head.method === "HEAD";
    this.expectsContinue = head.expectsContinue;
    this.requestBody = head.body === "until_close" ? "none" : head.body;
  }

  /** What the machine is to know of how the request came to it; null for the usual one. */
  get extra(): readonly AddedField[] | null {
    return this.steered === null || this.machine === null ? null : this.steered.fields(this.machine);
  }

  /** The service has a word of its own on silence, which the exchange sees to. */
  get watchesSilence(): boolean {
    return this.options !== null && this.options.idleTimeoutMs > 0;
  }

  /** Could another attempt send all of the request that has come? */
  get canResend(): boolean {
    return this.#body !== null || (this.bytesReceived === 0 && !this.#trailersTaken);
  }

  get isPanic(): boolean {
    return isInPanic(this);
  }

  get hasWholeRequest(): boolean {
    return this.requestBody === "none" || this.requestEnded;
  }

  get responseStarted(): boolean {
    return this.state === "responding" || this.state === "tunnel";
  }

  /** Is this more than the service takes of a body? */
  isBodyTooLarge(bytes: number): boolean {
    const limit = this.service?.maxBodyBytes ?? null;
    return limit !== null && bytes > limit;
  }

  begin(): void {
    const { deadlines, totalMs } = this.#driver;
    if (totalMs > 0) this.#total = new IdleWatch(deadlines, totalMs, () => this.#onOverdue());
    this.#driver.handle(this);
  }

  /** Takes the body in first, if it is short enough: `onBodyHeld` follows, now or later. False: it goes on as it comes. */
  holdsBody(): boolean {
    if (!canBeHeld(this.head, this.#driver.heldBodyBytes)) return false;
    this.state = "holding";
    this.#body = wholeBody();
    this.channel.resumeBody();
    return true;
  }

  /** @param retryAfterS null: what is usual for the code */
  refuse(code: ErrorCode, mustClose = false, retryAfterS: number | null = null): void {
    if (this.steered !== null && this.#driver.replays.fallsBack(this, this.steered, code)) return;
    this.code = code;
    this.#answer(ERRORS[code].status);
    respondWithError(this.channel, code, refusedOf(this, retryAfterS), mustClose);
  }

  /** Lets go of the machine, or of the gate: another attempt follows, or a refusal. */
  abandonAttempt(): void {
    this.upstream?.destroy();
    this.#endAttempt();
    this.#driver.attempts.leave(this);
    this.state = "routing";
  }

  /** With something of the edge's own, and nothing of a machine. */
  answer(status: number, fields: readonly OwnField[], body = ""): void {
    this.#answer(status);
    respondWithOwn(this.channel, status, fields, body, this.id);
  }

  /** The request as machines get it. */
  get sentHead(): RequestHead {
    return this.steered?.head ?? this.head;
  }

  requestHead(): string {
    const { client, channel, sentHead: head } = this;
    const ready = client === channel.client ? channel.clientLines : clientLines(client, head.version);
    return machineHead(head, client, ready, this, this.service!.reusesConnections);
  }

  get request(): { head: RequestHead; client: ClientFacts } {
    return { head: this.sentHead, client: this.client };
  }

  requestFields(): AddedField[] {
    return machineFields(this.sentHead, this.client, this);
  }

  onSent(): void {
    this.sentMs = performance.now();
    this.state = "sent";
    this.steered?.onReached();
    if (this.watchesSilence) this.#watchIdle(this.options!.idleTimeoutMs);
    if (this.requestBody === "none") return;
    this.#isBodyBlocked = this.#body?.sendTo(this.upstream!) === false;
    // An earlier attempt may have seen the end of a body that was empty.
    if (this.requestEnded) {
      if (this.#body === null) this.upstream!.sendEnd();
    } else if (!this.#isBodyBlocked) this.channel.resumeBody();
  }

  onUpstreamDrain(): void {
    this.#isBodyBlocked = false;
    this.#idle?.touch();
    if (this.state === "tunnel") this.channel.resumeTunnel();
    else this.channel.resumeBody();
  }

  onUpstreamFailed(error: ProxyError, wasSent: boolean, wasStale: boolean): void {
    if (this.swallowed !== null) return this.swallowed.end(false);
    this.#endAttempt();
    if (this.state === "tunnel") {
      this.#endWith(error.code === "connection_idle" ? error.code : null);
      this.channel.abort();
    } else if (this.responseStarted) {
      this.#endWith(error.code === "upstream_closed" || error.code === "upstream_reset" ? "response_truncated" : error.code);
      this.channel.abort();
    } else {
      this.#driver.onAttemptFailed(this, error, wasSent, wasStale);
    }
    this.channel.flush();
  }

  onInterim(head: ResponseHead): void {
    this.#idle?.touch();
    this.channel.sendInterim(head);
  }

  onHead(head: ResponseHead): void {
    if (mayAskForReplay(head.fields) && this.#driver.replays.begin(this, head)) return;
    this.respondedMs = performance.now();
    this.status = head.status;
    this.#driver.onAnswer(this, head);
    this.#idle?.touch();
    // A tunnel follows a whole request.
    if (head.status === 101 ? !this.hasWholeRequest || !isUpgradeAsked(this.head, head) : isTakenForTunnel(this.head, head)) {
      this.upstream?.destroy();
      this.upstream = null;
      this.refuse("bad_response", true);
      return;
    }
    this.state = "responding";
    this.#dropBody();
    if (this.options === null) this.channel.sendHead(head, this);
    else this.#sendEditedHead(head, this.options);
    if (head.status === 101) this.#openTunnel(head.upgrade);
  }

  onData(buffer: Buffer, start: number, end: number): void {
    if (this.swallowed !== null) return this.swallowed.take(buffer, start, end);
    this.#idle?.touch();
    const compressed = this.#compressed;
    const isFlowing = compressed === null ? this.channel.sendData(buffer, start, end) : compressed.compressor.write(buffer, start, end);
    if (!isFlowing) this.upstream?.pause();
  }

  onTrailers(fields: Fields): void {
    if (this.swallowed !== null) return;
    if (this.#compressed === null) this.channel.sendTrailers(fields);
    else this.#compressed.setTrailers(fields);
  }

  onEnd(): void {
    this.upstream = null;
    if (this.swallowed !== null) return this.swallowed.end(true);
    if (this.#compressed !== null) {
      // The machine has done its part.
      this.#leaveIdle();
      this.#driver.attempts.releaseClaim(this);
      this.#compressed.compressor.end();
      return;
    }
    this.#endWith(null);
    this.channel.sendEnd();
  }

  onCompressed(isWhole: boolean): void {
    if (!isWhole) this.upstream?.destroy();
    this.upstream = null;
    this.#endWith(isWhole ? null : "internal");
  }

  onTunnelData(buffer: Buffer, start: number, end: number): void {
    this.#idle?.touch();
    this.#tunnel!.fromMachine(buffer, start, end);
  }

  onTunnelEnd(): void {
    this.channel.endTunnel();
    this.#endTunnelSide();
  }

  onRequestData(buffer: Buffer, start: number, end: number): void {
    const isFirst = this.bytesReceived === 0;
    this.bytesReceived += end - start;
    if (this.state === "holding") return void this.#body!.append(buffer, start, end);
    if (this.isBodyTooLarge(this.bytesReceived)) return this.onClientFailed("body_too_large");
    this.#idle?.touch();
    if (isFirst && !this.responseStarted) this.#body = this.#driver.keptBodies.begin(this.head);
    if (this.#body?.append(buffer, start, end) === false) this.#dropBody();
    if (this.upstream === null || this.upstream.sendData(buffer, start, end)) return;
    this.#isBodyBlocked = true;
    this.channel.pauseBody();
  }

  onRequestTrailers(fields: Fields): void {
    if (this.#body === null) this.#trailersTaken = true;
    else this.#body.setTrailers(fields);
    if (this.state === "holding") return;
    this.upstream?.sendTrailers(fields);
  }

  onRequestEnd(): void {
    this.requestEnded = true;
    this.#body?.setEnd();
    if (this.state === "holding") {
      this.state = "routing";
      this.#driver.onBodyHeld(this);
      return;
    }
    this.#idle?.touch();
    if (this.requestBody !== "none") this.upstream?.sendEnd();
  }

  onClientDrain(): void {
    if (this.#compressed === null) this.upstream?.resume();
    else this.#compressed.compressor.resume();
  }

  onTunnelInput(buffer: Buffer, start: number, end: number): void {
    this.bytesReceived += end - start;
    this.#idle?.touch();
    this.#tunnel?.fromClient(buffer, start, end);
  }

  onTunnelInputEnd(): void {
    this.upstream?.tunnelEnd();
    this.#endTunnelSide();
  }

  /** Tells both ends of a WebSocket that the server goes away, and ends it when they have answered. Another tunnel goes on. */
  leaveTunnel(): void {
    if (this.state !== "tunnel" || !this.#tunnel!.leave()) return;
    this.#total = new IdleWatch(this.#driver.deadlines, GOODBYE_MS, () => this.#onOverdue());
  }

  onClientFailed(code: ErrorCode): void {
    if (this.state === "done") return;
    const wasResponding = this.responseStarted;
    const wasTunnel = this.state === "tunnel";
    this.upstream?.destroy();
    this.upstream = null;
    if (ERRORS[code].status === 0 || wasResponding) {
      this.#endWith(wasTunnel ? null : code);
      this.channel.abort();
    } else this.refuse(code, true);
  }

  get isWaiting(): boolean {
    return this.state === "waiting";
  }

  set isWaiting(isWaiting: boolean) {
    this.state = isWaiting ? "waiting" : "routing";
  }

  attempt(machine: EdgeMachine): void {
    this.#driver.attempt(this, machine);
  }

  onAsleep(): WordOnSleep {
    return this.#driver.asleep.meets(this);
  }

  onGateOpen(): boolean {
    return this.#driver.onGateOpen(this);
  }

  onBackedOff(): void {
    this.#driver.onBackedOff(this);
  }

  onGateFailed(error: ProxyError): void {
    this.#driver.attempts.onGateFailed(this, error);
    this.channel.flush();
  }

  #dropBody(): void {
    this.#body?.drop();
    this.#body = null;
  }

  #watchIdle(timeoutMs: number): void {
    this.#leaveIdle();
    this.#idle = new IdleWatch(this.#driver.deadlines, timeoutMs, () => this.#onIdle());
  }

  #endAttempt(): void {
    this.upstream = null;
    this.swallowed = null;
    this.#leaveIdle();
    // What the client sends now is for the next attempt, which is not connected yet.
    if (!this.responseStarted && !this.hasWholeRequest) this.channel.pauseBody();
  }

  #leaveIdle(): void {
    this.#idle?.stop();
    this.#idle = null;
  }

  #onIdle(): void {
    const isClientSilent = this.state === "sent" && this.requestBody !== "none" && !this.requestEnded && !this.#isBodyBlocked;
    if (isClientSilent) this.onClientFailed("request_timeout");
    else {
      this.upstream?.destroy();
      const code = this.state === "tunnel" ? "connection_idle" : "upstream_timeout";
      this.onUpstreamFailed(new ProxyError(code, "nothing passed within idle_timeout"), true, false);
    }
    this.channel.flush();
  }

  #sendEditedHead(head: ResponseHead, options: HttpOptions): void {
    const edited = editResponse(head, options, this);
    if (options.compress) this.#compressed = compressedBody(this, this.#driver.compressors, head, edited);
    this.channel.sendHead(edited, null);
  }

  #onOverdue(): void {
    this.onClientFailed("total_timeout");
    this.channel.flush();
  }

  #openTunnel(protocol: string): void {
    this.state = "tunnel";
    this.#total?.stop();
    this.#tunnel = new Tunnel(this, protocol);
    this.channel.openTunnel();
    if (this.#tunnel.isWebSocket) this.#driver.onWebSocket(this);
  }

  #endTunnelSide(): void {
    if (this.state !== "tunnel" || !this.#tunnel!.endSide()) return;
    this.upstream?.leaveTunnel();
    this.upstream = null;
    this.#endWith(null);
  }

  #endWith(code: ErrorCode | null): void {
    if (code !== null) this.code = code;
    this.#leave();
  }

  #answer(status: number): void {
    this.status = status;
    this.#leave();
  }

  #leave(): void {
    if (this.#responseEnded) return;
    this.#responseEnded = true;
    this.#driver.attempts.leave(this);
    this.state = "done";
    this.#leaveIdle();
    this.#dropBody();
    this.steered?.onReached();
    this.#total?.stop();
    this.#compressed?.compressor.destroy();
    this.#compressed = null;
    this.bytesSent = this.channel.bytesSent;
    this.#driver.onDone(this);
  }
}
