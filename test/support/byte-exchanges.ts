// Tables of raw exchanges: what a client sends, what the machine gets and what the client gets, byte by byte. Only what differs from run to
// run or is the same in every message is written short: `<edge>` is the block of lines that the edge adds, `<400 bad_host, closed>` a whole
// error response with exactly the lines and the body it should have. Host and Content-Length are looked at in one place of a head, since
// where they stand there means nothing.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ADVICE } from "../../src/core/advice.ts";
import { ERRORS, type ErrorCode } from "../../src/core/errors.ts";
import { HOST, type Edge } from "./edge.ts";
import { eventually } from "./eventually.ts";
import type { RawClient } from "./raw-client.ts";

export interface ByteExchange {
  readonly title: string;
  /** In one piece, or in several. */
  readonly send: string | readonly string[];
  /** What the machine says to one request after the other; what is not here it answers with `ok`. */
  readonly answers?: readonly Answer[];
  /** All that comes to the machine; null: nothing that is a whole request. */
  readonly backendGets: string | null;
  readonly clientGets: string;
  /**
   * What comes of the client's connection. open: a request behind all this is answered. closed: that request gets nowhere. reset: nor
   * does it, and nobody can take the end for that of a message.
   */
  readonly afterwards?: "open" | "closed" | "reset";
  /** Is the machine's connection used for that request, too? */
  readonly machineKept?: boolean;
}

type Answer = string | { readonly bytes: string; readonly closes: true };

const LAST = `GET /last HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`;
const NEW_CONNECTION = "<new connection>";

/** Rows by their topic. */
export type Topics = Readonly<Record<string, readonly ByteExchange[]>>;

/** One test for each row. */
export function testExchanges(edge: Edge, topic: string, rows: readonly ByteExchange[]): void {
  describe(topic, () => {
    for (const row of rows) test(row.title, async () => await tryExchange(edge, row));
  });
}

async function tryExchange(edge: Edge, row: ByteExchange): Promise<void> {
  const { send, answers = [], afterwards = "open", machineKept = true } = row;
  let asked = 0;
  await edge.backend.answers(({ method, target }, machine) => {
    if (target === "/last") return rawOk("GET /last", method);
    const answer = answers[asked++] ?? rawOk(`${method} ${target}`, method);
    if (typeof answer === "string") return answer;
    machine.send(answer.bytes).end();
    return null;
  });
  using client = await edge.connect();
  await sendPieces(client, typeof send === "string" ? [send + LAST] : [...send, LAST]);
  const received = await client.untilEnd();
  assert.equal(client.wasReset, afterwards === "reset", `the connection was ${client.wasReset ? "" : "not "}reset`);

  const isOpen = afterwards === "open";
  const last = isOpen ? `HTTP/1.1 200 OK\r\n<edge>\r\ncontent-length: 9\r\nconnection: close\r\n\r\nGET /last` : "";
  assert.equal(normalResponses(received), row.clientGets + last);
  await edge.untilReleased();
  if (row.backendGets === null) {
    await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
    assert.equal(edge.backend.requests.length, 0, "a whole request came to the machine");
    return;
  }
  const lastSeen = isOpen ? (machineKept || row.backendGets === "" ? "" : NEW_CONNECTION) + seen("GET /last") : "";
  const gotten = edge.backend.connections.map((connection) => normalRequests(connection.received)).filter((text) => text !== "");
  assert.equal(gotten.join(NEW_CONNECTION), row.backendGets + lastSeen);
}

async function sendPieces(client: RawClient, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    client.send(piece);
    await new Promise(setImmediate);
  }
}

/** A request of the client: `request("GET /", "x-a: 1")`. */
export function request(start: string, ...lines: readonly string[]): string {
  return head(`${start} HTTP/1.1`, `host: ${HOST}`, ...lines);
}

/** A head of these lines. */
export function head(...lines: readonly string[]): string {
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** A request as the machine gets it; lines that frame it come last. */
export function seen(start: string, ...lines: readonly string[]): string {
  return request(start, ...lines, "<edge>");
}

/** What the machine says of itself where a row says nothing else: `ok("GET /")`, or `ok("HEAD /")` without the body. */
export function ok(asked: string, ...lines: readonly string[]): string {
  return head("HTTP/1.1 200 OK", "<edge>", `content-length: ${asked.length}`, ...lines) + (asked.startsWith("HEAD") ? "" : asked);
}

/** A response as the client gets it: fields of the machine's, then the edge's block, then what frames it. */
export function answered(status: string, lines: readonly string[], framing: readonly string[], body = ""): string {
  return head(`HTTP/1.1 ${status}`, ...lines, "<edge>", ...framing) + body;
}

/** The machine ends its connection behind this. */
export function closing(bytes: string): Answer {
  return { bytes, closes: true };
}

/** Rows that are refused before the machine hears of anything, all with the same code. */
export function refused(code: ErrorCode, rows: readonly (readonly [title: string, send: string | readonly string[]])[]): ByteExchange[] {
  return rows.map(([title, send]) => ({ title, send, backendGets: "", clientGets: error(code), afterwards: "closed" }));
}

/** The error response for a code, behind which the connection is closed. */
export function error(code: ErrorCode): string {
  return `<${ERRORS[code].status} ${code}, closed>`;
}

function rawOk(text: string, method: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${method === "HEAD" ? "" : text}`;
}

/** The lines that the edge adds to every request, in whatever order; each comes once. */
const EDGE_REQUEST = [
  /^fly-client-ip: 127\.0\.0\.1$/,
  /^fly-forwarded-port: 80$/,
  /^fly-forwarded-proto: http$/,
  /^fly-forwarded-ssl: off$/,
  /^fly-region: ams$/,
  /^x-forwarded-proto: http$/,
  /^x-forwarded-ssl: off$/,
  /^fly-request-id: [0-9A-Z]{26}-ams$/,
  /^fly-traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00$/,
  /^x-request-start: t=\d{16}$/,
  /^x-forwarded-for: (?<for>(?:.+, )?)127\.0\.0\.1, 127\.0\.0\.1$/,
  /^via: (?<via>(?:.+, )?)(?<version>1\.[01]) kittiwake$/,
  /^x-forwarded-port: (?<port>.+)$/,
];

function normalRequests(text: string): string {
  return inEveryHead(text, / HTTP\/1\.1$/, (lines) => moved(folded(lines, EDGE_REQUEST), "host", 1));
}

/** With one line `<edge>` for all of the edge's lines, if they are all there. What depends on the request is said where it is unusual. */
function folded(lines: readonly string[], patterns: readonly RegExp[]): string[] {
  const found = patterns.map((pattern) => lines.filter((line) => pattern.test(line)));
  if (found.some(({ length }) => length !== 1)) return [...lines];
  const groups = Object.assign({}, ...patterns.map((pattern, at) => pattern.exec(found[at]![0]!)!.groups)) as Record<string, string>;
  const { for: before = "", via = "", version = "1.1", port = "80" } = groups;
  const unusual = [
    ...(before === "" ? [] : [`for ${before.slice(0, -2)}`]),
    ...(via === "" ? [] : [`via ${via.slice(0, -2)}`]),
    ...(version === "1.1" ? [] : [version]),
    ...(port === "80" ? [] : [`port ${port}`]),
  ];
  const all = found.flat();
  const first = lines.findIndex((line) => all.includes(line));
  const rest = lines.filter((line) => !all.includes(line));
  return rest.toSpliced(first, 0, unusual.length === 0 ? "<edge>" : `<edge: ${unusual.join("; ")}>`);
}

const ID = "[0-9A-Z]{26}-ams";
const DATE = "date: [A-Z][a-z]{2}, \\d{2} [A-Z][a-z]{2} \\d{4} \\d{2}:\\d{2}:\\d{2} GMT\\r\\n";
const EDGE_RESPONSE = [/^server: kittiwake$/, /^via: (?<via>(?:.+, )?)1\.1 kittiwake$/, new RegExp(`^fly-request-id: ${ID}$`)];
const ADDED_DATE = new RegExp(`^${DATE.slice(0, -4)}$`);
const ERROR = new RegExp(
  `HTTP/1\\.1 (\\d{3}) [^\\r]+\\r\\ncontent-type: text/plain; charset=utf-8\\r\\nkittiwake-error: (\\w+)\\r\\n` +
    `server: kittiwake\\r\\nvia: 1\\.1 kittiwake\\r\\nfly-request-id: (${ID})\\r\\ncache-control: no-store\\r\\nx-content-type-options: nosniff\\r\\n` +
    `((?:retry-after: \\d+\\r\\n)?)((?:allow: [A-Z, ]+\\r\\n)?)${DATE}content-length: (\\d+)\\r\\n((?:connection: (?:close|keep-alive)\\r\\n)?)\\r\\n((?:.+\\n.+\\nrequest id: .+\\n)?)`,
  "g",
);

function normalResponses(text: string): string {
  const errors = text.replaceAll(ERROR, (...[whole, status, code, id, , allow, length, connection, body]: string[]) => {
    const right = `${status} ${code}: ${ERRORS[code as ErrorCode].summary}\n${ADVICE[code as ErrorCode]}\nrequest id: ${id}\n`;
    const isRight = Number(length) === right.length && (body === right || body === "") && (allow !== "") === (status === "405");
    if (!isRight) return whole!;
    const end = { "": "", "connection: close\r\n": ", closed", "connection: keep-alive\r\n": ", kept" }[connection!];
    return `<${status} ${code}${body === "" ? ", no body" : ""}${end}>`;
  });
  return inEveryHead(errors, /HTTP\/1\.1 \d{3} /, (lines) => {
    const isDated = lines.some((line) => ADDED_DATE.test(line));
    const short = folded(isDated ? lines.filter((line) => !ADDED_DATE.test(line)) : lines, EDGE_RESPONSE);
    const edge = short.findIndex((line) => line.startsWith("<edge"));
    if (edge === -1) return [...lines];
    if (!isDated) short[edge] = short[edge]!.replace(/^<edge(?:: )?/, (begin) => (begin === "<edge" ? "<edge: dated" : "<edge: dated; "));
    return moved(short, "content-length", edge);
  });
}

/** Applies `change` to the lines of every head, which is known by its first one. Heads in these tests are never part of a body. */
function inEveryHead(text: string, isFirst: RegExp, change: (lines: string[]) => string[]): string {
  const parts = text.split(/(\r\n\r\n)/);
  return parts
    .map((part) => {
      const lines = part.split("\r\n");
      const first = lines.findIndex((line) => isFirst.test(line));
      return first === -1 ? part : [...lines.slice(0, first), ...change(lines.slice(first))].join("\r\n");
    })
    .join("");
}

/** With the line of this field, its name in lower case, moved in front of the one that stands at `index` without it, or behind `<edge>`. */
function moved(lines: readonly string[], name: string, index: number): string[] {
  const at = lines.findIndex((line) => line.toLowerCase().startsWith(`${name}: `));
  if (at === -1) return [...lines];
  const line = name + lines[at]!.slice(name.length);
  const others = lines.filter((_, other) => other !== at);
  const edge = others.findIndex((other) => other.startsWith("<edge"));
  return others.toSpliced(name === "host" ? index : edge + 1, 0, line);
}
