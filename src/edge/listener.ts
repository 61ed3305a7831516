// A port that clients connect to: TLS where it has to be, then HTTP/1.1, HTTP/2, or a raw connection. Step 1 in the life of a request.

import { createServer, isIP, type AddressInfo, type Server, type Socket } from "node:net";
import type { SecureContext, TLSSocket } from "node:tls";
import type { ClientHello } from "../http/client-hello.ts";
import type { AddressSet } from "../core/address-set.ts";
import type { ClientAuth, TlsVersions } from "../core/app.ts";
import type { Ends } from "../core/ends.ts";
import { ProxyError } from "../core/errors.ts";
import type { PortKind } from "../core/port-kind.ts";
import { canonicalServerName } from "../certs/server-name.ts";
import type { Route, Router } from "../routing/router.ts";
import type { ClientFacts, ClientIdentity } from "../upstream/forward.ts";
import { KEEP_ALIVE_MS } from "../upstream/keep-alive.ts";
import type { Access } from "./access.ts";
import { CertifiedHosts, type CertifiedNames } from "./certified-hosts.ts";
import { CHALLENGE_PROTOCOL, isValidation, type ChallengeAnswers } from "./challenge-answers.ts";
import { chooseByHello } from "./choose-by-hello.ts";
import type { ClientConnection, ConnectionContext, HeadTime } from "./client-connection.ts";
import type { EdgeApp, EdgeService } from "./edge-app.ts";
import type { HeadTimes } from "./head-times.ts";
import { Http1Connection } from "./http1-connection.ts";
import { Http2Connection } from "./http2-connection.ts";
import type { Http2Shared } from "./http2-streams.ts";
import { Preamble, type PreambleRead } from "./preamble.ts";
import { readDirectly } from "./read-directly.ts";
import { RawConnection, type RawContext } from "./raw-connection.ts";
import { TlsHandshake, type TlsServing } from "./tls-handshake.ts";

export interface ListenerOptions {
  readonly host: string;
  /** Bound port; 0 is any free one. */
  readonly port: number;
  /** The port by which clients and `fly.toml` know it. */
  readonly publicPort: number;
  readonly kind: Exclude<PortKind, "udp">;
  readonly tls: ListenerTls;
  readonly challenges: ChallengeAnswers;
  /** Whose connections begin with a PROXY header that is believed. */
  readonly peersInFront: AddressSet;
  /** Whose word on their clients is taken. */
  readonly trustedProxies: AddressSet;
  /** How many connections an address may have; null: any number. */
  readonly access: Access | null;
  readonly handshakeTimeoutMs: number;
  readonly region: string;
  readonly connections: Omit<ConnectionContext, "onClosed">;
  readonly raw: RawContext;
  readonly router: Router<EdgeService, EdgeApp>;
  readonly http2: Http2Shared;
  readonly headTimes: HeadTimes;
  readonly events: ListenerEvents;
}

export interface ListenerTls {
  /** What a connection is accepted with; `isSelfSigned`: with a certificate for whoever asks, otherwise without one. */
  context(versions: TlsVersions, isSelfSigned: boolean, clientAuth: ClientAuth | null): SecureContext;
  /** Finds the certificate of a name. */
  readonly SNICallback: TlsServing["SNICallback"];
  readonly namesOf: CertifiedNames;
}

/** A connection on its way to its protocol. */
interface Arrival {
  readonly socket: Socket;
  readonly ends: Ends;
  /** Of all that comes before the protocol. */
  readonly deadlineMs: number;
  /** By the clock of the deadlines. */
  readonly acceptedMs: number;
  /** Canonical, of its ClientHello; null where that is not read, or names nobody. */
  readonly serverName: string | null;
}

interface RawArrival {
  readonly route: Route<EdgeService>;
  readonly name: string | null;
  readonly isSecure: boolean;
}

export interface ListenerEvents {
  onHandshake(version: string, isResumed: boolean, seconds: number): void;
  onHandshakeFailed(servername: string, error: Error): void;
  /** What came before the protocol was not as it must be. */
  onRefused(error: ProxyError): void;
  /** A client's connection ended. */
  onClosed(connection: ClientConnection): void;
}

/** How long a handshake that is under way may take when a listener drains. */
const FIRST_WORDS_MS = 1000;
/** How long a listener that drains takes what the kernel holds for it, at most. */
const LAST_ACCEPTS_MS = 1000;
/** Connections that the kernel may hold for a worker that is busy. */
const BACKLOG = 4096;
const HTTP_PROTOCOLS = ["h2", "http/1.1"];
const POSTGRES_PROTOCOLS = ["postgresql"];

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections = new Set<ClientConnection | RawConnection>();
  readonly #handshakes = new Set<TlsHandshake | Preamble>();
  readonly #context: ConnectionContext;
  readonly #rawContext: RawContext;
  #isDraining = false;
  #isClosed = false;
  #accepted = 0;
  readonly #drained = Promise.withResolvers<void>();

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { connections, raw, events } = options;
    this.#context = {
      ...connections,
      onClosed: (connection) => {
        this.#forget(connection);
        events.onClosed(connection);
      },
    };
    this.#rawContext = {
      ...raw,
      onClosed: (connection) => {
        this.#forget(connection);
        raw.onClosed(connection);
      },
    };
    const sockets = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, pauseOnConnect: false };
    this.#server = createServer(sockets, (socket) => this.#accept(socket));
    // Accepting can fail for a while (no more descriptors); the listener itself is not broken by it.
    this.#server.on("error", () => {});
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Resolves to the bound port. Several threads may listen on one: the kernel spreads connections over them. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, backlog: BACKLOG, reusePort: true, ipv6Only: host.includes(":") }, () => {
        this.#server.removeListener("error", reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Accepts no more; connections end after what they are doing. Resolves when all have ended; may be called again. */
  drain(): Promise<void> {
    if (!this.#isDraining) {
      this.#isDraining = true;
      this.#stopAccepting(performance.now() + LAST_ACCEPTS_MS, -1);
    }
    const { deadlines } = this.#options.connections;
    for (const handshake of this.#handshakes) handshake.deadlineMs = Math.min(handshake.deadlineMs, deadlines.after(FIRST_WORDS_MS));
    for (const connection of this.#connections) connection.drain();
    this.#settle();
    return this.#drained.promise;
  }

  destroy(): void {
    this.#server.close();
    for (const handshake of this.#handshakes) handshake.destroy();
    for (const connection of this.#connections) connection.destroy();
  }

  /** The kernel resets what it holds for a listener that closes, so that is taken first: one each turn of the event loop. */
  #stopAccepting(untilMs: number, acceptedBefore: number): void {
    const accepted = this.#accepted;
    if (accepted !== acceptedBefore && performance.now() < untilMs) {
      // The first of the two is still of this turn.
      setImmediate(() => setImmediate(() => this.#stopAccepting(untilMs, accepted)));
      return;
    }
    this.#server.close();
    this.#isClosed = true;
    this.#settle();
  }

  #accept(socket: Socket): void {
    const { kind, router, publicPort, challenges, peersInFront, handshakeTimeoutMs, connections, events } = this.#options;
    const { deadlines } = connections;
    this.#accepted++;
    const ends = this.#ends(socket);
    if (ends === null) return;
    const deadlineMs = deadlines.after(handshakeTimeoutMs);
    const arrival: Arrival = { socket, ends, deadlineMs, acceptedMs: deadlines.nowMs, serverName: null };
    const postgres = kind === "pg_tls";
    const clientHello = postgres || (kind === "tls" && (challenges.readsHello || router.plan(publicPort).readsHello));
    const proxyHeader = peersInFront.has(ends.sourceIp);
    if (!clientHello && !proxyHeader) return this.#begin(arrival, null);
    const preamble = new Preamble(socket, {
      deadlines,
      deadlineMs,
      proxyHeader,
      postgres,
      clientHello,
      onRead: (read) => {
        this.#handshakes.delete(preamble);
        this.#begin({ ...arrival, ends: read.ends ?? ends }, read);
        this.#settle();
      },
      onFailed: (error) => {
        this.#handshakes.delete(preamble);
        this.#settle();
        if (clientHello && error.code !== "bad_proxy_header") events.onHandshakeFailed("", error);
        else events.onRefused(error);
      },
    });
    this.#handshakes.add(preamble);
  }

  /** @param read null: nothing comes before the protocol */
  #begin(arrival: Arrival, read: PreambleRead | null): void {
    const { kind, router, publicPort, tls, access } = this.#options;
    if (access !== null && !this.#isOneOfFew(arrival, access)) return;
    if (kind === "tcp") {
      const only = router.plan(publicPort).only;
      // An app that is just going, or just coming.
      if (only === null) arrival.socket.resetAndDestroy();
      else this.#openRaw(arrival.socket, arrival, { route: only.route, name: null, isSecure: false });
      return;
    }
    if (kind === "http") return this.#open(arrival.socket, arrival, null, null);
    if (read !== null && read.hello !== null) return this.#beginByHello(arrival, read.hello, read.isDirectTls);
    const serving = { secureContext: tls.context("all", false, null), SNICallback: tls.SNICallback, clientAuth: null };
    this.#shakeHands(arrival, serving, HTTP_PROTOCOLS, (secured) => this.#open(secured, arrival, secured, null));
  }

  /** False, and the socket closed: its client has as many connections as it may have. A proxy's are those of many clients. */
  #isOneOfFew({ socket, ends }: Arrival, access: Access): boolean {
    const { trustedProxies, events } = this.#options;
    if (trustedProxies.has(ends.sourceIp)) return true;
    const place = access.connect(ends.sourceIp);
    if (place === null) {
      socket.destroy();
      events.onRefused(new ProxyError("too_many_connections"));
      return false;
    }
    socket.once("close", () => access.disconnect(place));
    return true;
  }

  #beginByHello(arrival: Arrival, hello: ClientHello, isDirectPostgres: boolean): void {
    const { kind, router, publicPort, tls, events } = this.#options;
    const { socket } = arrival;
    const choice = chooseByHello(router, publicPort, hello);
    const isPassedThrough = choice?.route?.port.rules.isPassedThrough === true;
    if (!isPassedThrough && isValidation(hello) && this.#answersChallenge(arrival, hello)) return;
    if (choice === null) {
      socket.destroy();
      events.onHandshakeFailed(hello.serverName ?? "", new ProxyError("tls_unknown_name"));
      return;
    }
    const { name, route, certificateOf, clientAuth } = choice;
    const rules = route?.port.rules;
    if (rules?.isPassedThrough === true) return this.#openRaw(socket, arrival, { route: route!, name, isSecure: false });
    const isHttp = route === null || route.port.handlers.includes("http");
    const versions = rules?.tls?.versions ?? "all";
    const alpn = rules?.tls?.alpn ?? (isHttp ? HTTP_PROTOCOLS : kind === "pg_tls" ? POSTGRES_PROTOCOLS : null);
    const begin = (secureContext: SecureContext, SNICallback: TlsServing["SNICallback"]): void => {
      this.#shakeHands(arrival, { secureContext, SNICallback, clientAuth }, alpn, (secured, identity) => {
        // A context that was made for a certificate takes all versions.
        if (versions !== "all" && secured.getProtocol() !== versions) secured.destroy();
        // What Postgres itself asks of such clients, so that nothing else is taken for one.
        else if (isDirectPostgres && secured.alpnProtocol !== POSTGRES_PROTOCOLS[0]) secured.destroy();
        // Who takes the self-signed certificate that everyone is shown takes it for any host.
        else if (isHttp) this.#open(secured, { ...arrival, serverName: name }, secured, identity, certificateOf === null);
        else this.#openRaw(secured, arrival, { route: route!, name, isSecure: true });
      });
    };
    const context = tls.context(versions, certificateOf === null, clientAuth);
    // A client that is asked to begin anew (RFC 8446 section 4.1.4) may name another host, with rules of its own, when it does.
    if (certificateOf === undefined) begin(context, clientAuth === null ? tls.SNICallback : (_, done) => tls.SNICallback(name!, done));
    else if (certificateOf === null) begin(context, (_, done) => done(null, context));
    else this.#withCertificateOf(certificateOf, socket, (secureContext) => begin(secureContext, tls.SNICallback));
  }

  /** False: there is nothing to answer it with, and it is a handshake like any other. */
  #answersChallenge(arrival: Arrival, hello: ClientHello): boolean {
    const { challenges } = this.#options;
    const name = hello.serverName === null ? null : canonicalServerName(hello.serverName);
    // An address has a challenge of its own kind (RFC 8738), and nobody here orders for one.
    if (name === null || isIP(name) !== 0) return false;
    const context = challenges.context(name);
    if (context !== null) {
      this.#showChallenge(arrival, context);
      return true;
    }
    const { socket, ends } = arrival;
    const isSought = challenges.seek("alpn", name, ends.sourceIp, () => {
      const found = challenges.context(name);
      if (this.#isDraining) socket.destroy();
      if (socket.destroyed) return;
      if (found !== null) return this.#showChallenge(arrival, found);
      socket.destroy();
      this.#options.events.onHandshakeFailed(name, new ProxyError("tls_handshake_failed", "there is no such challenge"));
    });
    if (isSought) socket.on("error", ignore);
    return isSought;
  }

  /** Nothing but the handshake is of interest to whoever validates (RFC 8737 section 3). */
  #showChallenge(arrival: Arrival, secureContext: SecureContext): void {
    const serving: TlsServing = { secureContext, SNICallback: (_, done) => done(null, secureContext), clientAuth: null };
    this.#shakeHands(arrival, serving, [CHALLENGE_PROTOCOL], (secured) => {
      secured.on("error", ignore);
      secured.destroySoon();
    });
  }

  /** A client that names nobody is not asked for a name, so its certificate must be there before TLS begins. */
  #withCertificateOf(hostname: string, socket: Socket, begin: (context: SecureContext) => void): void {
    socket.on("error", ignore);
    this.#options.tls.SNICallback(hostname, (error, context) => {
      if (this.#isDraining) socket.destroy();
      if (socket.destroyed) return;
      if (error === null && context !== undefined) return begin(context);
      socket.destroy();
      this.#options.events.onHandshakeFailed(hostname, error ?? new ProxyError("certificate_unavailable"));
    });
  }

  #shakeHands(
    arrival: Arrival,
    tls: TlsServing,
    alpn: readonly string[] | null,
    onSecure: (secured: TLSSocket, identity: ClientIdentity | null) => void,
  ): void {
    const { events, connections } = this.#options;
    const { deadlines } = connections;
    const handshake = new TlsHandshake(
      arrival.socket,
      { tls, alpn, deadlines, deadlineMs: arrival.deadlineMs },
      {
        onSecure: (secured, identity, seconds) => {
          this.#handshakes.delete(handshake);
          events.onHandshake(secured.getProtocol() ?? "unknown", secured.isSessionReused(), seconds);
          onSecure(secured, identity);
          this.#settle();
        },
        onFailed: (servername, error) => {
          this.#handshakes.delete(handshake);
          this.#settle();
          events.onHandshakeFailed(servername, error);
        },
      },
    );
    this.#handshakes.add(handshake);
  }

  /** One for the handshake and the first head together: whoever trickles both in has no more time than for one. */
  #headTime(serverName: string | null, acceptedMs: number): HeadTime {
    const { publicPort, headTimes, connections } = this.#options;
    const { deadlines } = connections;
    const ms = headTimes.ms(publicPort, serverName);
    return { ms, firstDeadlineMs: deadlines.after(ms) - (deadlines.nowMs - acceptedMs) };
  }

  #open(socket: Socket, arrival: Arrival, secured: TLSSocket | null, identity: ClientIdentity | null, isForAnyHost = false): void {
    const scheme = secured === null ? "http" : "https";
    const isHttp2 = secured?.alpnProtocol === "h2";
    const { ends, acceptedMs } = arrival;
    // What the client said last: it may have been asked to begin anew.
    const serverName = serverNameOf(secured) ?? arrival.serverName;
    const headTime = this.#headTime(serverName, acceptedMs);
    const { publicPort, region, http2, tls, trustedProxies } = this.#options;
    const hosts = serverName === null || isForAnyHost ? null : new CertifiedHosts(serverName, tls.namesOf);
    const { sourceIp: ip, destinationIp: localIp } = ends;
    const isTrusted = trustedProxies.has(ip);
    const client: ClientFacts = { ip, peerIp: ip, isTrusted, scheme, localIp, port: publicPort, region, identity, hosts, places: null };
    readDirectly(socket);
    const context = this.#context;
    const connection = isHttp2
      ? new Http2Connection(socket, client, context, http2, headTime)
      : new Http1Connection(socket, client, context, headTime);
    this.#connections.add(connection);
    // It was accepted in the last moment.
    if (this.#isDraining) connection.drain();
    // A preamble leaves it so.
    if (socket.isPaused()) socket.resume();
  }

  #openRaw(socket: Socket, { ends }: Arrival, { route, name, isSecure }: RawArrival): void {
    const { kind } = this.#options;
    const connection = new RawConnection(socket, { kind, ends, serverName: name, isSecure, route }, this.#rawContext);
    this.#connections.add(connection);
    connection.begin();
  }

  /** null, and the socket closed: the client was gone before it was accepted, and has no address any more. */
  #ends(socket: Socket): Ends | null {
    const sourceIp = plainIp(socket.remoteAddress);
    const destinationIp = plainIp(socket.localAddress);
    if (sourceIp === null || destinationIp === null) {
      socket.destroy();
      return null;
    }
    return { sourceIp, sourcePort: socket.remotePort ?? 0, destinationIp, destinationPort: this.#options.publicPort };
  }

  #forget(connection: ClientConnection | RawConnection): void {
    this.#connections.delete(connection);
    this.#settle();
  }

  #settle(): void {
    if (this.#isClosed && this.#connections.size === 0 && this.#handshakes.size === 0) this.#drained.resolve();
  }
}

/** Canonical; null: the client named none, or resumed a session of TLS 1.2, for which OpenSSL does not say. */
function serverNameOf(secured: TLSSocket | null): string | null {
  const name = (secured as { servername?: string | false } | null)?.servername;
  return typeof name === "string" ? canonicalServerName(name) : null;
}

/** Without the IPv6 form that a dual-stack socket gives an IPv4 address. */
function plainIp(address: string | undefined): string | null {
  if (address === undefined) return null;
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}

function ignore(): void {}
