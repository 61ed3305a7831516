// What an exchange needs of its client, whichever protocol carries it: an HTTP/1.1 connection today, a stream of an HTTP/2 one later.

import type { ErrorCode } from "../core/errors.ts";
import type { Fields, ResponseHead } from "../http/message.ts";
import type { ClientFacts, ClientLines } from "../upstream/forward.ts";

/** What the edge says of itself in a response, apart from the machine's fields; each protocol puts it into its own form. */
export interface OwnFacts {
  /** For `fly-request-id`. */
  readonly id: string;
  /** For `strict-transport-security`, where the machine says nothing of it; null for none. */
  readonly hsts: string | null;
  /** The machine fails its checks, and was tried because all that run do: `kittiwake-panic: 1`. */
  readonly isPanic: boolean;
  /** Values of `set-cookie` beside those of the machine; null for none. */
  readonly cookies: readonly string[] | null;
}

/** A field of a response of the edge's own; the name in lower case. */
export type OwnField = readonly [name: string, value: string];

export interface ClientChannel {
  readonly client: ClientFacts;
  /** `clientLines(client)`, made once. */
  readonly clientLines: ClientLines;
  /** Where the connection is counted: the app of its first request. The composition root's to set. */
  account: object | null;
  /** "HTTP/1.1", for the log. */
  readonly protocol: string;

  /** Passes on an interim response (1xx). */
  sendInterim(head: ResponseHead): void;
  /**
   * Begins the response. The channel adds the edge's own fields (`response-fields.ts`), unless `own` is null because the head has what it is to
   * have of them, and those that frame the message.
   */
  sendHead(head: ResponseHead, own: OwnFacts | null): void;
  /** Appends a copy of `buffer[start, end)` to the body. False: stop until `onClientDrain`. */
  sendData(buffer: Buffer, start: number, end: number): boolean;
  /** Comes between the last data and `sendEnd`; a client that cannot be given trailers does without. */
  sendTrailers(fields: Fields): void;
  sendEnd(): void;
  /** A whole response of the edge's own. The channel adds `date` and what frames the message. */
  sendOwn(status: number, fields: readonly OwnField[], body: Buffer, mustClose: boolean): void;
  /** Ends the exchange so that the client cannot take what it got for complete. */
  abort(): void;

  /** Stops the request's body after what was delivered. */
  pauseBody(): void;
  resumeBody(): void;

  /** From here on bytes pass both ways as they are. */
  openTunnel(): void;
  /** False: stop until `onClientDrain`. */
  sendTunnelData(buffer: Buffer, start: number, end: number): boolean;
  endTunnel(): void;
  pauseTunnel(): void;
  resumeTunnel(): void;

  /** The connection ends after what is under way on it: the client is to take another one. */
  retire(): void;

  /** Writes out what has gathered, for whichever socket. */
  flush(): void;
  /** Bytes written to the client in this exchange so far, heads included. */
  readonly bytesSent: number;
}

/** What a channel tells its exchange. */
export interface ClientEvents {
  /** A response has gone out, at least its head. */
  readonly responseStarted: boolean;
  /** The channel knows its exchange: it may begin, and even end. */
  begin(): void;
  onRequestData(buffer: Buffer, start: number, end: number): void;
  onRequestTrailers(fields: Fields): void;
  onRequestEnd(): void;
  onClientDrain(): void;
  onTunnelInput(buffer: Buffer, start: number, end: number): void;
  onTunnelInputEnd(): void;
  /** The node ends, and its tunnels with it as soon as their protocol allows. */
  leaveTunnel(): void;
  /** The client is gone (`client_closed`), too slow, or broke the protocol in the middle of its request. */
  onClientFailed(code: ErrorCode): void;
}
