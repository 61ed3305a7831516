// Turns tables of cases into tests: each on a connection of its own to one running node, over TLS, with a look afterwards at a bystander's
// connection. With OTHER_SERVER=<port> in the environment the cases go to another server on this machine, which is how the cases themselves
// are judged; what depends on our backend is left out then.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { SecureContext } from "node:tls";
import { startRawBackend, staticApp } from "../../support/backend.ts";
import { clientContext } from "../../support/client-context.ts";
import { HOST, startEdge, type Edge } from "../../support/edge.ts";
import { FrameClient, nameOfCode, type FrameClientOptions } from "../../support/frame-client.ts";
import { block, CODE, headers, type Field } from "../../support/frames.ts";
import type { Message } from "../../support/message.ts";
import type { RawClient } from "../../support/raw-client.ts";
import { response } from "../../support/scripted-backend.ts";
import { TestAuthority } from "../../support/test-authority.ts";

const OTHER_SERVER = Number(process.env["OTHER_SERVER"] ?? 0);
/** Its machine takes one request at a time, and never answers. */
export const FULL_HOST = "full.localhost";
/** How long the edge holds who floods it. */
const LONGER_THAN_HOLDING_MS = 1500;
/** The stream of the request by which a connection proves that it goes on. */
const PROOF_STREAM = 0x0fff_ffff;
const PROOF_TARGET = OTHER_SERVER === 0 ? "/proof" : "/";

export type Expected =
  /** GOAWAY with one of these codes, and the end of the connection. */
  | { readonly kind: "connection error"; readonly codes: readonly number[]; readonly mayJustClose: boolean }
  /** RST_STREAM with one of these codes, before it perhaps a response of the edge; the connection goes on. */
  | {
      readonly kind: "stream error";
      readonly stream: number;
      readonly codes: readonly number[];
      readonly or: "connection error" | "4xx" | null;
    }
  /** A whole response, whose status is one of these; the connection goes on. */
  | { readonly kind: "response"; readonly stream: number; readonly statuses: readonly number[] }
  /** What the case itself looks at; the connection goes on. */
  | { readonly kind: "goes on" };

export interface ConformanceCase {
  /** Where the RFC says so. */
  readonly section: string;
  readonly title: string;
  /** For the connection; without it the case itself sends the preface. */
  readonly isSilent?: boolean;
  readonly options?: FrameClientOptions;
  /** Does what is to be judged, and may look at more than `expected` says. */
  readonly send: (client: FrameClient, subject: Subject) => void | Promise<void>;
  readonly expected: Expected;
  /** The request must not reach a machine. */
  readonly isKeptBack?: boolean;
  /** No further stream is possible on this connection. */
  readonly isLastStream?: boolean;
  /** Needs our backend. */
  readonly isOurs?: boolean;
}

export function connectionError(...codes: readonly number[]): Expected {
  return { kind: "connection error", codes, mayJustClose: false };
}

/** Where the RFC lets a server close the connection without a GOAWAY. */
export function connectionErrorOrClose(...codes: readonly number[]): Expected {
  return { kind: "connection error", codes, mayJustClose: true };
}

/** A stream error that a server may as well treat as one of the connection (RFC 9113 section 5.4.2 allows it for every one). */
export function eitherError(stream: number, ...codes: readonly number[]): Expected {
  return { kind: "stream error", stream, codes, or: "connection error" };
}

/** A malformed request: a stream error, or a refusal in words before it (RFC 9113 section 8.1.1). */
export function malformed(stream = 1): Expected {
  return { kind: "stream error", stream, codes: [CODE.protocolError], or: "4xx" };
}

export function answered(stream = 1, ...statuses: readonly number[]): Expected {
  return { kind: "response", stream, statuses: statuses.length === 0 ? [200] : statuses };
}

export const GOES_ON: Expected = { kind: "goes on" };

/** Of the RFCs. */
export interface Chapter {
  readonly title: string;
  readonly cases: readonly ConformanceCase[];
}

/** The header block of a request; `changes` with an empty value for a pseudo-header field leaves it out. */
export function request(changes: Readonly<Record<string, string | null>> = {}, ...more: readonly Field[]): Field[] {
  const pseudo = { ":method": "GET", ":scheme": "https", ":authority": HOST, ":path": "/", ...changes };
  return [...Object.entries(pseudo).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const])), ...more];
}

/** By method and target: floods ask for the same by the ten thousand. */
const blocks = new Map<string, Buffer>();

/** A request without a body, unless `flags` say otherwise. */
export function ask(stream: number, target = "/", flags?: number): Buffer {
  const method = flags === undefined ? "GET" : "POST";
  const key = `${method} ${target}`;
  if (!blocks.has(key)) blocks.set(key, block(request({ ":path": target, ":method": method })));
  return headers(stream, blocks.get(key)!, flags);
}

/** The server that is judged. */
export class Subject implements AsyncDisposable {
  readonly edge: Edge | null;
  readonly port: number;

  readonly #silent: AsyncDisposable | null;
  /** Knows the authority that it is certified by. */
  readonly #secureContext: SecureContext;

  constructor(edge: Edge | null, port: number, silent: AsyncDisposable | null = null, rootPem = "") {
    this.edge = edge;
    this.port = port;
    this.#silent = silent;
    this.#secureContext = clientContext(edge === null ? undefined : rootPem);
  }

  static async start(): Promise<Subject> {
    if (OTHER_SERVER !== 0) return new Subject(null, OTHER_SERVER);
    const silent = await startRawBackend(() => {});
    const full = staticApp("full", silent.port).replace("[kittiwake]", "hard_limit = 1\n[kittiwake]");
    const edge = await startEdge({ apps: { full } });
    await edge.backend.answers(answer);
    // One connection is good for both hosts.
    const authority = await TestAuthority.create();
    const { pem, keyPem } = await authority.leaf([HOST, FULL_HOST]);
    await edge.test.node.control.certificates.import(pem + authority.intermediatePem + keyPem);
    return new Subject(edge, edge.test.httpsPort, silent, authority.rootPem);
  }

  get tls(): FrameClientOptions {
    return { servername: HOST, secureContext: this.#secureContext, rejectUnauthorized: this.edge !== null };
  }

  /** The whole requests that a machine got for a target. */
  requests(target: string): Message[] {
    return this.edge!.backend.requests.filter((known) => known.target === target);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#silent?.[Symbol.asyncDispose]();
    await this.edge?.[Symbol.asyncDispose]();
  }
}

/**
 * What the machine does: `/bytes/<n>` answers with so many bytes, `/hold` with nothing until its connection ends, `/trailers` with some,
 * `/socket` with a WebSocket on which everything comes back; all else says what it got.
 */
function answer(message: Message, machine: RawClient): string | null {
  const { method, target, body, fields } = message;
  const [, kind, count] = target.split("/");
  if (kind === "hold") {
    void machine.untilEnd().then(() => machine.socket.destroy());
    return null;
  }
  if (kind === "socket") return openSocket(message, machine);
  if (kind === "bytes") return response("x".repeat(Number(count)));
  if (kind === "early-hints") return `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${response("page")}`;
  if (kind === "trailers") return "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
  if (kind === "no-content") return "HTTP/1.1 204 No Content\r\n\r\n";
  const lines = fields
    .filter(([name]) => name === "cookie" || name === "te" || name.startsWith("x-t-"))
    .map(([name, value]) => `${name}=${value}`);
  return response([`${method} ${target} ${body.length}`, ...lines].join("\n"));
}

function openSocket(message: Message, machine: RawClient): null {
  const accept = createHash("sha1")
    .update(`${message.header("sec-websocket-key")}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  machine.send(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
  machine.send(machine.rest);
  machine.socket.pipe(machine.socket);
  return null;
}

/** The tests of a chapter. All cases meet the same node, which must be at rest at the end of each chapter. */
export function judge(subject: Subject, { title, cases }: Chapter): void {
  describe(title, () => {
    let bystander: FrameClient;
    let bystanderStream = 1;
    before(async () => {
      bystander = await FrameClient.open(subject.port, subject.tls);
    });
    after(() => bystander?.[Symbol.dispose]());

    for (const each of cases) {
      if (each.isOurs === true && OTHER_SERVER !== 0) continue;
      test(`${each.title} (${each.section})`, async () => {
        using client = await (each.isSilent === true ? FrameClient.connect : FrameClient.open)(subject.port, {
          ...subject.tls,
          ...each.options,
        });
        // One that is closed for what it does is held for a while.
        void client
          .until(() => client.goaway?.code === CODE.enhanceYourCalm, "a GOAWAY")
          .then(
            () => subject.edge?.test.passTime(LONGER_THAN_HOLDING_MS),
            () => {},
          );
        const heldBack = subject.edge?.backend.requests.length ?? 0;
        await each.send(client, subject);
        await assertExpected(each, client);
        assert.deepEqual(client.violations, [], client.describe());
        const since = subject.edge?.backend.requests.slice(heldBack).filter(({ target }) => target !== PROOF_TARGET) ?? [];
        if (each.isKeptBack === true) assert.deepEqual(since, [], "nothing reaches the machine");
        await assertUnharmed(bystander, (bystanderStream += 2));
      });
    }

    if (OTHER_SERVER === 0) test("at the end no place on the machine is taken", async () => await subject.edge!.untilReleased());
  });
}

async function assertExpected({ expected, isLastStream }: ConformanceCase, client: FrameClient): Promise<void> {
  switch (expected.kind) {
    case "connection error":
      await assertConnectionError(client, expected.codes, expected.mayJustClose);
      return;
    case "stream error":
      await assertStreamError(client, expected);
      if (client.goaway !== null) return;
      break;
    case "response": {
      const { hasEnded } = await client.untilOver(expected.stream);
      assert.equal(hasEnded, true, client.describe());
      assert.ok(expected.statuses.includes(client.status(expected.stream)), `${client.status(expected.stream)}; ${client.describe()}`);
    }
  }
  if (isLastStream === true) await client.barrier();
  else await assertUnharmed(client, PROOF_STREAM);
}

async function assertStreamError(client: FrameClient, { stream, codes, or }: Extract<Expected, { kind: "stream error" }>): Promise<void> {
  const received = client.on(stream);
  const isOver = (): boolean =>
    received.reset !== null || (or === "4xx" && received.hasEnded) || (or === "connection error" && client.goaway !== null);
  await client.until(isOver, `the error of stream ${stream}`);
  if (client.goaway !== null) return await assertConnectionError(client, codes, false);
  if (or === "4xx" && received.hasEnded) {
    assert.match(String(client.status(stream)), /^(4|501)/, client.describe());
    // The rest of a request that is answered already may be declined without blame (RFC 9113 section 8.1).
    if (received.reset === CODE.noError) return;
  } else assert.equal(received.fields, null, client.describe());
  if (received.reset !== null) assert.ok(codes.includes(received.reset), `${nameOfCode(received.reset)}; ${client.describe()}`);
}

async function assertConnectionError(client: FrameClient, codes: readonly number[], mayJustClose: boolean): Promise<void> {
  await client.untilEnd();
  if (client.goaway === null) assert.ok(mayJustClose, `no GOAWAY; ${client.describe()}`);
  else assert.ok(codes.includes(client.goaway.code), `${nameOfCode(client.goaway.code)}; ${client.describe()}`);
}

/** HEAD, since its response needs no window. */
async function assertUnharmed(client: FrameClient, stream: number): Promise<void> {
  client.send(headers(stream, block(request({ ":method": "HEAD", ":path": PROOF_TARGET }))));
  const { hasEnded } = await client.untilOver(stream);
  assert.deepEqual([hasEnded, client.status(stream), client.goaway], [true, 200, null], client.describe());
}
