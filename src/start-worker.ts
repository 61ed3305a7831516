// The composition root of a data-plane thread: puts the parts of the edge together and answers the main thread.

import { setImmediate as turnOfLoop } from "node:timers/promises";
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { createAccessLog, type AccessLog } from "./telemetry/access-log.ts";
import { createLog, logFailure } from "./telemetry/log.ts";
import { Traffic, type AppTraffic } from "./telemetry/traffic.ts";
import type { AccessRules } from "./core/app.ts";
import type { Target } from "./core/aim.ts";
import { AddressSet } from "./core/address-set.ts";
import { AddressAllowances } from "./core/address-allowances.ts";
import { Deadlines } from "./core/deadlines.ts";
import { ProxyError } from "./core/errors.ts";
import type { PortKind } from "./core/port-kind.ts";
import { SharedClock } from "./core/shared-clock.ts";
import { RequestIds } from "./core/request-id.ts";
import { AddressTable } from "./catalog/address-table.ts";
import { LoadTable } from "./catalog/load-table.ts";
import { FieldCache } from "./http/http2/field-cache.ts";
import { ResponseEncoder } from "./http/http2/response-encoder.ts";
import type { IssuedCertificate } from "./certs/issuer.ts";
import { ServingContexts } from "./certs/serving-contexts.ts";
import { createSniCallback, type SniCallback } from "./certs/sni.ts";
import { Balancer } from "./routing/balancer.ts";
import { Router } from "./routing/router.ts";
import { Pools } from "./upstream/pools.ts";
import { WriteSlab } from "./upstream/socket-writer.ts";
import { Gate } from "./wake/gate.ts";
import { Access } from "./edge/access.ts";
import { connectionLine, exchangeLine, unreadableLine, type LoggedConnection } from "./edge/access-line.ts";
import { ChallengeAnswers } from "./edge/challenge-answers.ts";
import { Asleep } from "./edge/asleep.ts";
import { Attempts } from "./edge/attempts.ts";
import { Compressors } from "./edge/compressor.ts";
import { countExchange } from "./edge/count-exchange.ts";
import { edgeApp, type EdgeAppParts, type EdgeApp, type EdgeService } from "./edge/edge-app.ts";
import type { Exchange } from "./edge/exchange.ts";
import { ConnectionHandler } from "./edge/handle-connection.ts";
import { HeadTimes } from "./edge/head-times.ts";
import { RequestHandler } from "./edge/handle-request.ts";
import { KeptBodies } from "./edge/kept-body.ts";
import { OutputPool } from "./upstream/http2-output.ts";
import type { Http2Shared } from "./edge/http2-streams.ts";
import type { HttpsPorts } from "./edge/redirects.ts";
import { Listener, type ListenerTls } from "./edge/listener.ts";
import { PassiveHealth } from "./edge/passive-health.ts";
import { Places } from "./edge/places.ts";
import { SignedCookies } from "./edge/signed-cookies.ts";
import { WakeGuard } from "./edge/wake-guard.ts";
import { WakeHints } from "./edge/wake-hints.ts";
import { UdpListener } from "./edge/udp-listener.ts";
import type { FromWorker, ListenRequest, ToWorker, WorkerData } from "./node/worker-messages.ts";

/** With half of it 1 MiB over TLS costs a third more; but a client that does not read holds up to one read for each of its streams. */
const READ_BUFFER_BYTES = 128 * 1024;
/** Of all HTTP/2 connections from one address: many people may share one, but few pages are left behind in a second. */
const RESETS_OF_ADDRESS = { most: 2000, perSecond: 100 };
/** The clock of the time-outs; the shortest of them may be half a second. */
const TICK_MS = 100;

class Worker {
  readonly #data: WorkerData;
  readonly #port: MessagePort;
  readonly #log;
  readonly #accessLog: AccessLog | null;
  readonly #traffic = new Traffic();
  readonly #deadlines = new Deadlines(TICK_MS);
  readonly #slab = new WriteSlab();
  readonly #router = new Router<EdgeService, EdgeApp>();
  readonly #headTimes: HeadTimes;
  readonly #pools: Pools;
  readonly #cookies: SignedCookies;
  readonly #parts: EdgeAppParts;
  readonly #gate: Gate;
  readonly #balancer: Balancer;
  readonly #attempts: Attempts;
  readonly #asleep: Asleep;
  readonly #handler: RequestHandler;
  readonly #connectionHandler: ConnectionHandler;
  readonly #challenges: ChallengeAnswers;
  readonly #http2: Http2Shared;
  readonly #sni: SniCallback;
  readonly #listeners = new Map<string, Listener | UdpListener>();
  /** Those that accept no more, as long as connections of theirs go on. */
  readonly #closing = new Set<Listener | UdpListener>();
  readonly #certificatesWanted = new Map<string, PromiseWithResolvers<IssuedCertificate>>();
  readonly #contexts: ServingContexts;
  readonly #tls: ListenerTls;
  readonly #peersInFront: AddressSet;
  readonly #trustedProxies: AddressSet;
  readonly #addresses: AddressTable;
  readonly #clock = new SharedClock();
  /** For all apps together. */
  readonly #nodeAccess: Access | null;
  #httpsPorts: HttpsPorts = { boundHttp: 80, boundHttps: 443 };
  #isDraining = false;

  constructor(data: WorkerData, port: MessagePort) {
    this.#data = data;
    this.#port = port;
    this.#log = createLog({ level: data.log.level as "info", destination: data.log.destination, name: `worker-${data.index}` });
    this.#accessLog = data.accessLog === null ? null : createAccessLog(data.accessLog);
    const { limits, timeouts } = data;
    const load = new LoadTable(data.load, data.index);
    this.#addresses = new AddressTable(data.addresses, data.index);
    const cache = new FieldCache();
    this.#http2 = {
      outputs: new OutputPool(),
      cache,
      responses: new ResponseEncoder(cache),
      heads: [],
      maxStreams: limits.streams,
      resets: new AddressAllowances(RESETS_OF_ADDRESS.most, RESETS_OF_ADDRESS.perSecond),
    };
    const upstream = {
      deadlines: this.#deadlines,
      slab: this.#slab,
      readBuffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      limits,
      timeouts: {
        connectMs: timeouts.upstreamConnectMs,
        headMs: timeouts.upstreamHeadMs,
        silenceMs: timeouts.upstreamSilenceMs,
        idleMs: timeouts.upstreamIdleMs,
        tunnelIdleMs: timeouts.tunnelIdleMs,
      },
    };
    this.#cookies = new SignedCookies({ keys: data.cookieKeys, now: Date.now });
    this.#pools = new Pools(upstream, this.#http2);
    this.#parts = {
      region: data.region,
      pools: this.#pools,
      traffic: this.#traffic,
      deadlines: this.#deadlines,
      cookies: this.#cookies,
      createAccess: (app, rules) => this.#access(app, rules),
      createWakeGuard: (app, rules) => new WakeGuard({ app, rules, table: this.#addresses, now: () => this.#clock.now() }),
    };
    const requestWake = (app: string, service: string, target: Target | null): void => {
      const reason = target === null ? this.#attempts.wakeReason(app, service) : "asleep";
      this.#send({ type: "wake", app, service, reason, target });
    };
    const gate = (this.#gate = new Gate({ load, deadlines: this.#deadlines, maxWaiting: limits.waitingPerApp, requestWake }));
    this.#asleep = new Asleep({ router: this.#router, gate, load, deadlines: this.#deadlines, requestWake });
    this.#challenges = new ChallengeAnswers({
      deadlines: this.#deadlines,
      ask: (kind, name) => this.#send({ type: "challenge_wanted", kind, name }),
      expectsValidations: data.expectsValidations,
    });
    this.#headTimes = new HeadTimes(this.#router, timeouts.requestHeadMs);
    const balancer = (this.#balancer = new Balancer({ load, random: Math.random, now: () => this.#deadlines.nowMs }));
    const health = new PassiveHealth({
      router: this.#router,
      deadlines: this.#deadlines,
      log: this.#log,
      onReadmitted: (app) => {
        this.#gate.onAppChanged(app);
        this.#slab.flush();
      },
    });
    const hints = new WakeHints(this.#deadlines, ({ app, key }, reason, target) =>
      this.#send({ type: "wake", app, service: key, reason, target }),
    );
    this.#attempts = new Attempts({
      router: this.#router,
      balancer,
      gate: this.#gate,
      places: new Places({ balancer, gate: this.#gate, load, random: Math.random }),
      deadlines: this.#deadlines,
      random: Math.random,
      maxAttempts: limits.attempts,
      maxWaiting: limits.waitingPerApp,
      onBusy: (service, target) => hints.give(service, "busy", target),
      onDetour: (service) => hints.give(service, "detour", null),
      onPanic: (service, machine) => health.onPanic(service, machine),
      onServedAfterWake: (service, machine, heldMs) => this.#send({ type: "served", app: service.app, machine: machine.id, heldMs }),
    });
    const shared = { attempts: this.#attempts, asleep: this.#asleep, outliers: health.outliers, ids: new RequestIds(data.region) };
    this.#connectionHandler = new ConnectionHandler(shared);
    const { connectionsPerAddress } = limits;
    this.#nodeAccess = connectionsPerAddress === 0 ? null : this.#access("", { allow: [], deny: [], rate: null, connectionsPerAddress });
    this.#trustedProxies = new AddressSet(data.trustedProxies);
    this.#handler = new RequestHandler({
      trustedProxies: this.#trustedProxies,
      ...shared,
      router: this.#router,
      deadlines: this.#deadlines,
      challenges: this.#challenges,
      isDraining: () => this.#isDraining,
      isLeaving: ({ slot }) => load.isClosed(slot),
      totalMs: timeouts.totalMs,
      heldBodyBytes: limits.heldBodyBytes,
      keptBodies: new KeptBodies({
        retryBytes: limits.retryBodyBytes,
        replayBytes: limits.replayBodyBytes,
        totalBytes: limits.keptBodiesBytes,
      }),
      compressors: new Compressors(limits.compressors),
      replayCacheEntries: limits.replayCacheEntries,
      log: this.#log,
      httpsPorts: () => this.#httpsPorts,
      trustedSince: (hostname) => this.#sni.trustedSince(hostname),
      onBusyWord: ({ id }, seconds) => this.#send({ type: "busy", machine: id, seconds }),
      onDone: (exchange) => this.#onDone(exchange),
      onUnreadable: (sender, code, requestId) => {
        this.#traffic.countError(code);
        this.#accessLog?.write(unreadableLine(sender, code, requestId));
      },
    });
    this.#sni = createSniCallback({
      clientAuth: (hostname) => this.#router.match(hostname)?.clientAuth,
      fetch: (hostname) => this.#fetchCertificate(hostname),
    });
    this.#peersInFront = new AddressSet(data.proxyProtocolFrom);
    this.#contexts = new ServingContexts(data.selfSigned, Buffer.from(data.ticketKeys));
    this.#tls = {
      context: (versions, isSelfSigned, clientAuth) => this.#contexts.context(versions, isSelfSigned, clientAuth),
      SNICallback: this.#sni,
      namesOf: (hostname) => this.#sni.namesOf(hostname),
    };
  }

  onMessage(message: ToWorker): void {
    switch (message.type) {
      case "app":
        if (JSON.stringify(this.#router.app(message.entry.name)?.hsts) !== JSON.stringify(message.entry.hsts)) {
          // What comes with certificates for it comes only to apps that ask.
          this.#sni.forget(message.entry.hostnames);
        }
        this.#router.set(edgeApp(message.entry, this.#parts, this.#router.app(message.entry.name)));
        for (const { machines } of message.entry.services) this.#balancer.learn(machines);
        this.#afterChange();
        this.#gate.onAppChanged(message.entry.name);
        break;
      case "app_removed":
        this.#router.delete(message.name);
        this.#afterChange();
        this.#gate.onAppChanged(message.name);
        break;
      case "listen":
        void this.#listen(message.request);
        break;
      case "https_ports":
        this.#httpsPorts = message.ports;
        break;
      case "ticket_keys":
        this.#contexts.setTicketKeys(Buffer.from(message.keys));
        break;
      case "cookie_keys":
        this.#cookies.setKeys(message.keys);
        break;
      case "unlisten":
        this.#close(message.key);
        break;
      case "certificate":
        this.#learnCertificate(message.hostname, message.certificate);
        break;
      case "certificates_changed":
        this.#sni.forget(message.names);
        break;
      case "certificate_failed":
        this.#certificatesWanted.get(message.hostname)?.reject(new ProxyError(message.code, message.message));
        this.#certificatesWanted.delete(message.hostname);
        break;
      case "challenge":
        this.#challenges.learn(message.challenge);
        break;
      case "challenge_gone":
        this.#challenges.forget(message.kind, message.name);
        break;
      case "challenge_unknown":
        this.#challenges.onUnknown(message.kind, message.name);
        break;
      case "woken":
        this.#asleep.onWakeOver(message.app, message.service, message.key, null);
        if (message.key === null) this.#attempts.onWakeOver(message.app, message.service);
        this.#gate.onWoken(message.app, message.service, message.key);
        break;
      case "wake_failed":
        this.#asleep.onWakeOver(message.app, message.service, message.key, message.code);
        if (message.key === null) this.#attempts.onWakeOver(message.app, message.service);
        this.#gate.onWakeFailed(message.app, message.service, new ProxyError(message.code, message.message), message.key);
        break;
      case "leave_tunnels":
        this.#handler.leaveTunnels(message.machine);
        break;
      case "report":
        this.#report();
        break;
      case "mark":
        this.#send({ type: "taken", mark: message.mark });
        break;
      case "drain":
        void this.#drain();
        break;
      case "crash":
        throw new Error("a test asked this worker to crash");
      case "pass_time":
        void this.#passTime(message.ms);
        break;
    }
    this.#slab.flush();
  }

  async #listen(request: ListenRequest): Promise<void> {
    const { key } = request;
    const listener = request.kind === "udp" ? this.#udpListener(request) : this.#tcpListener(request, request.kind);
    try {
      const bound = await listener.listen();
      this.#close(key);
      this.#listeners.set(key, listener);
      this.#send({ type: "listening", key, port: bound });
    } catch (error) {
      const { message, code = "" } = error as NodeJS.ErrnoException;
      this.#send({ type: "listen_failed", key, message, code });
    }
  }

  #udpListener({ host, port, publicPort }: ListenRequest): UdpListener {
    const { timeouts, limits } = this.#data;
    return new UdpListener({
      host,
      port,
      publicPort,
      router: this.#router,
      sessions: {
        deadlines: this.#deadlines,
        handler: this.#connectionHandler,
        idleMs: timeouts.udpIdleMs,
        onClosed: ({ routed }) => this.#onConnectionClosed(routed),
      },
      maxSessions: limits.udpSessions,
      onDropped: (code) => this.#traffic.countError(code),
    });
  }

  #tcpListener({ host, port, publicPort }: ListenRequest, kind: Exclude<PortKind, "udp">): Listener {
    const { timeouts, limits, region } = this.#data;
    return new Listener({
      host,
      port,
      publicPort,
      region,
      kind,
      tls: this.#tls,
      challenges: this.#challenges,
      peersInFront: this.#peersInFront,
      trustedProxies: this.#trustedProxies,
      access: this.#nodeAccess,
      handshakeTimeoutMs: timeouts.tlsHandshakeMs,
      connections: {
        deadlines: this.#deadlines,
        slab: this.#slab,
        limits,
        timeouts: {
          keepAliveMs: timeouts.keepAliveIdleMs,
          pace: { silenceMs: timeouts.clientIdleMs, bytesPerSecond: limits.clientBytesPerSecond },
        },
        open: (channel, head) => this.#handler.open(channel, head),
        refuse: (channel, code) => this.#handler.refuseUnread(channel, code),
        report: (sender, code) => this.#handler.reportUnread(sender, code),
        isDraining: () => this.#isDraining,
      },
      raw: {
        deadlines: this.#deadlines,
        slab: this.#slab,
        handler: this.#connectionHandler,
        onClosed: ({ routed }) => this.#onConnectionClosed(routed),
      },
      router: this.#router,
      http2: this.#http2,
      headTimes: this.#headTimes,
      events: {
        onHandshake: (version, isResumed, seconds) => this.#traffic.observeHandshake(version, isResumed, seconds),
        onHandshakeFailed: (servername, error) => this.#onHandshakeFailed(servername, error),
        onRefused: (error) => this.#onRefused(error),
        onClosed: (connection) => {
          const app = connection.account as AppTraffic | null;
          if (app !== null) app.disconnects++;
          for (const place of connection.client.places?.values() ?? []) this.#addresses.disconnect(place);
        },
      },
    });
  }

  /** Its connections go on; only a node that drains waits for them. */
  #close(key: string): void {
    const listener = this.#listeners.get(key);
    if (listener === undefined) return;
    this.#listeners.delete(key);
    this.#closing.add(listener);
    void listener.drain().then(() => this.#closing.delete(listener));
  }

  /** What an app had before, where its rules are the same: some have thousands of addresses. */
  #access(app: string, rules: AccessRules): Access {
    const before = this.#router.app(app)?.services[0]?.access;
    return before?.holds(rules) === true ? before : new Access({ app, rules, table: this.#addresses, now: () => this.#clock.now() });
  }

  #afterChange(): void {
    this.#headTimes.forget();
    const pools = new Set<object>();
    for (const app of this.#router.apps) {
      for (const service of app.services)
        for (const { pool, http2Pool } of service.machines) {
          if (pool !== null) pools.add(pool);
          if (http2Pool !== null) pools.add(http2Pool);
        }
    }
    this.#pools.prune(pools);
  }

  #onHandshakeFailed(servername: string, error: Error): void {
    const known = this.#router.match(servername) !== null;
    this.#traffic.countHandshakeError(known ? servername : "unknown");
    const failure = error instanceof ProxyError ? error : new ProxyError("tls_handshake_failed", error.message, { cause: error });
    this.#traffic.countError(failure.code);
    logFailure(this.#log, failure, { servername });
  }

  #onRefused(error: ProxyError): void {
    this.#traffic.countError(error.code);
    logFailure(this.#log, error, {});
  }

  #fetchCertificate(hostname: string): Promise<IssuedCertificate> {
    const wanted = Promise.withResolvers<IssuedCertificate>();
    this.#certificatesWanted.set(hostname, wanted);
    this.#send({ type: "certificate_wanted", hostname });
    return wanted.promise;
  }

  /** An answer is kept by whoever asked, unless it was overtaken by news. */
  #learnCertificate(hostname: string, certificate: IssuedCertificate): void {
    const wanted = this.#certificatesWanted.get(hostname);
    if (wanted === undefined) return this.#sni.set(hostname, certificate);
    this.#certificatesWanted.delete(hostname);
    wanted.resolve(certificate);
  }

  #onDone(exchange: Exchange): void {
    const { service, code } = exchange;
    if (code !== null) this.#traffic.countError(code);
    if (service !== null) countExchange(exchange, service);
    this.#accessLog?.write(exchangeLine(exchange));
  }

  #onConnectionClosed(connection: LoggedConnection): void {
    if (connection.code !== null) this.#traffic.countError(connection.code);
    this.#accessLog?.write(connectionLine(connection));
  }

  #report(): void {
    let connections = 0;
    for (const listener of [...this.#listeners.values(), ...this.#closing]) connections += listener.size;
    this.#send({ type: "report", report: this.#traffic.collect({ connections, waiting: this.#gate.size }) });
    const apps = new Set<string>();
    const machines = new Set<string>();
    for (const app of this.#router.apps) {
      apps.add(app.name);
      for (const service of app.services) for (const machine of service.machines) machines.add(machine.id);
    }
    this.#traffic.prune(apps, machines);
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    for (const key of [...this.#listeners.keys()]) this.#close(key);
    const closing = [...this.#closing];
    const timer = setTimeout(() => {
      for (const listener of closing) listener.destroy();
    }, this.#data.timeouts.drainMs);
    await Promise.all(closing.map((listener) => listener.drain()));
    clearTimeout(timer);
    this.#pools.close();
    this.#report();
    this.#accessLog?.close();
    await this.#log.close();
    this.#send({ type: "drained" });
  }

  /** A message may overtake what its sender wrote to a socket before; two turns of the loop later that has been read. */
  async #passTime(ms: number): Promise<void> {
    await turnOfLoop();
    await turnOfLoop();
    this.#deadlines.pass(ms);
    this.#cookies.pass(ms);
    await turnOfLoop();
    this.#send({ type: "time_passed" });
  }

  #send(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

const worker = new Worker(workerData as WorkerData, parentPort!);
parentPort!.on("message", (message: ToWorker) => worker.onMessage(message));
parentPort!.postMessage({ type: "started" } satisfies FromWorker);
