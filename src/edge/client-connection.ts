// What all connections of clients have in common, whichever protocol they speak.

import type { RequestLimits } from "../http/http1/request-decoder.ts";
import type { RequestHead } from "../http/message.ts";
import type { Deadlines } from "../core/deadlines.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { ClientFacts } from "../upstream/forward.ts";
import type { WriteSlab } from "../upstream/socket-writer.ts";
import type { ClientChannel, ClientEvents } from "./client-channel.ts";
import type { PaceLimits } from "./pace.ts";

export interface ClientConnection {
  /** Where it is counted: the app of its first request. */
  readonly account: object | null;
  readonly client: ClientFacts;
  /** Ends as soon as nothing is under way on it; takes nothing new. */
  drain(): void;
  /** Ends at once. */
  destroy(): void;
}

export interface ClientTimeouts {
  /** Between two requests. */
  readonly keepAliveMs: number;
  /** In the middle of a body, the client's own or the one it reads. */
  readonly pace: PaceLimits;
}

/** How long the heads of the requests on one connection may take. */
export interface HeadTime {
  /** From the first byte of a head to its last. */
  readonly ms: number;
  /** Of the first one; it runs since the connection was accepted, through the TLS handshake. */
  readonly firstDeadlineMs: number;
}

/** Who sent something that is no request, for the log. */
export type Sender = Pick<ClientChannel, "client" | "protocol" | "bytesSent">;

/** What all client connections of a worker share. */
export interface ConnectionContext {
  readonly deadlines: Deadlines;
  readonly slab: WriteSlab;
  readonly limits: RequestLimits;
  readonly timeouts: ClientTimeouts;
  /** Opens the exchange of a request. The answer hears the rest of it. */
  readonly open: (channel: ClientChannel, head: RequestHead) => ClientEvents;
  /** A request that could not even be read. */
  readonly refuse: (channel: ClientChannel, code: ErrorCode) => void;
  /** The same where there is no way to answer. */
  readonly report: (sender: Sender, code: ErrorCode) => void;
  readonly isDraining: () => boolean;
  readonly onClosed: (connection: ClientConnection) => void;
}
