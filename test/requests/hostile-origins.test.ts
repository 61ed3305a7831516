// Machines that answer wrongly, by mistake or on purpose: whatever they send, a client sees an error of the edge, a response that is
// recognisably cut, or the machine's whole response; and the next clients of the machine get what is theirs.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ERRORS, type ErrorCode } from "../../src/core/errors.ts";
import { clientContext } from "../support/client-context.ts";
import { get, HOST, rootOf, startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { FrameClient } from "../support/frame-client.ts";
import type { Message } from "../support/message.ts";
import { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";
import { Http1AskingClient, Http2AskingClient, type AskingClient, type Seen } from "./hostile-origins/asking-client.ts";
import { CHUNKED_BODIES, SHORT_BODIES } from "./hostile-origins/bodies.ts";
import { HEADER_FIELDS, LENGTHS } from "./hostile-origins/header-fields.ts";
import { OK, STOLEN_MARK, type HostileCase } from "./hostile-origins/hostile-case.ts";
import { INTERIM_RESPONSES, STATUS_LINES } from "./hostile-origins/status-lines.ts";
import { SURPLUS } from "./hostile-origins/surplus.ts";

const GROUPS: Readonly<Record<string, readonly HostileCase[]>> = {
  "in the place of a status line": STATUS_LINES,
  "among header fields": HEADER_FIELDS,
  "as the length of a body": LENGTHS,
  "before the final response": INTERIM_RESPONSES,
  "a body cut short": SHORT_BODIES,
  "in a chunked body, or none": CHUNKED_BODIES,
  "bytes that nobody asked for": SURPLUS,
};
const CASES = Object.values(GROUPS).flat();
const AT_ONCE = 24;

// No connection is closed just because it rests.
const edge = await startEdge({ tables: '[timeouts]\nupstream_idle = "1h"' });
after(() => edge[Symbol.asyncDispose]());
const secureContext = clientContext(rootOf(edge.test));

const CLIENTS: Readonly<Record<string, () => Promise<AskingClient>>> = {
  "HTTP/1.1": async () => new Http1AskingClient(await edge.connect()),
  "HTTP/2": async () => new Http2AskingClient(await FrameClient.open(edge.test.httpsPort, { secureContext, servername: HOST })),
};
/** These get all of it at once only. */
const MORE_CLIENTS: typeof CLIENTS = {
  ...CLIENTS,
  "HTTP/1.1 over TLS": async () =>
    new Http1AskingClient(await RawClient.connectTls(edge.test.httpsPort, { secureContext, servername: HOST })),
};

/** Which connection of the machine carried the request for a target last. */
const carriers = new Map<string, RawClient>();

/** What the machine sends for `/hostile/<number of the case>`; all other requests it answers well. */
function answer({ target }: Message, machine: RawClient): string {
  carriers.set(target, machine);
  const [, kind, index] = target.split("/");
  if (kind !== "hostile") return response(`well ${target}`);
  void play(machine, CASES[Number(index)]!);
  return "";
}

async function play(machine: RawClient, { sends, late, exit }: HostileCase): Promise<void> {
  for (const piece of typeof sends === "string" ? [sends] : sends) {
    if (piece !== "") machine.send(piece);
    if (typeof sends !== "string") await turn();
  }
  if (late === undefined) await leave(machine, exit);
}

async function leave(machine: RawClient, exit: HostileCase["exit"]): Promise<void> {
  if (exit === "ends") machine.end();
  if (exit !== "resets") return;
  await turn();
  machine.reset();
}

for (const [group, cases] of Object.entries(GROUPS)) {
  for (const [protocol, connect] of Object.entries(CLIENTS)) {
    describe(`${group}, seen by a client of ${protocol}:`, () => {
      let other: AskingClient;
      before(async () => {
        other = await connect();
      });
      after(() => other[Symbol.dispose]());
      for (const hostile of cases) {
        if (hostile.only === undefined || hostile.only === protocol) test(hostile.title, () => assertHarmless(hostile, connect, other));
      }
    });
  }
}

async function assertHarmless(hostile: HostileCase, connect: () => Promise<AskingClient>, other: AskingClient): Promise<void> {
  await edge.backend.answers(answer);
  using client = await connect();
  // The connection to the machine has been of use before.
  await assertWell(client, "/before");
  const target = `/hostile/${CASES.indexOf(hostile)}`;
  const seen = await client.ask(hostile.method ?? "GET", target, hostile.asks);
  assertSeen(hostile, seen, client);
  const carrier = carriers.get(target)!;
  if (hostile.late !== undefined) {
    if (hostile.late !== "") carrier.send(hostile.late);
    await leave(carrier, hostile.exit);
  }
  if (hostile.isReused !== true) await eventually(() => carrier.ended, "the edge to close the machine's connection");
  if (client.isOpen) await assertWell(client, "/same");
  for (const next of ["/next", "/after"]) await assertWell(other, next);
  assert.equal(client.received.includes(STOLEN_MARK), false);
  if (hostile.isReused === true) assert.equal(carriers.get("/next"), carrier, "the connection is used again");
  await edge.untilReleased();
}

async function assertWell(client: AskingClient, target: string): Promise<void> {
  const seen = await client.ask("GET", target);
  assert.deepEqual(seen, { kind: "whole", status: 200, body: `well ${target}`, code: null, interims: 0 });
}

function assertSeen({ method, sees, interims, hides }: HostileCase, seen: Seen, client: AskingClient): void {
  if (sees.kind === "whole") assert.deepEqual({ ...seen, interims: 0 }, { ...sees, code: null, interims: 0 });
  else if (sees.kind === "cut") assert.equal(seen.kind, "cut", JSON.stringify(seen));
  else if (sees.kind === "error" || seen.kind !== "cut") {
    assert.equal(seen.kind, "whole");
    assert.ok(seen.code !== null, JSON.stringify(seen));
    const { status, blame } = ERRORS[seen.code as ErrorCode];
    assert.deepEqual([seen.status, blame], [status, "upstream"]);
    assert.ok(seen.body.startsWith(method === "HEAD" ? "" : `${status} ${seen.code}: `));
    if (sees.kind === "error") assert.ok(sees.codes.includes(seen.code), seen.code);
  }
  if (interims !== undefined) assert.equal(seen.interims, interims);
  for (const hidden of [STOLEN_MARK, hides]) {
    if (hidden !== undefined) assert.equal(client.received.includes(hidden), false, client.received.slice(0, 500));
  }
}

for (const [protocol, connect] of Object.entries(MORE_CLIENTS)) {
  test(`all of them at the same time, among ${AT_ONCE} clients of ${protocol} who get what is theirs`, async () => {
    await edge.backend.answers(answer);
    const queue = CASES.filter(({ only }) => only === undefined || protocol.startsWith(only));
    const turns = queue.entries();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, nth) => {
        using clients = new DisposableStack();
        const other = clients.use(await connect());
        let client = clients.use(await connect());
        for (const [round, hostile] of turns) {
          if (!client.isOpen) client = clients.use(await connect());
          await assertWell(client, `/own/${nth}/${round}/before`);
          assertSeen(hostile, await client.ask(hostile.method ?? "GET", `/hostile/${CASES.indexOf(hostile)}`, hostile.asks), client);
          await assertWell(other, `/own/${nth}/${round}/after`);
        }
      }),
    );
    await edge.untilReleased();
  });
}

const RESPONSES: Readonly<Record<string, readonly [bytes: string, headEnd: number]>> = {
  "of a length": withHeadEnd(`${OK}x-a: 1\r\ncontent-length: 11\r\n\r\nhello world`),
  "of chunks": withHeadEnd(`${OK}transfer-encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n6\r\n world\r\n0\r\nx-a: 1\r\n\r\n`),
  "behind an interim one": withHeadEnd(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}content-length: 11\r\n\r\nhello world`, 2),
};

function withHeadEnd(bytes: string, heads = 1): readonly [string, number] {
  let end = 0;
  for (let i = 0; i < heads; i++) end = bytes.indexOf("\r\n\r\n", end) + 4;
  return [bytes, end];
}

for (const [protocol, connect] of Object.entries(CLIENTS)) {
  for (const [title, [bytes, headEnd]] of Object.entries(RESPONSES)) {
    for (const exit of ["ends", "resets"] as const) {
      test(`a response ${title} that ${exit} at any of its bytes is never taken for a whole one by a client of ${protocol}`, async () => {
        using clients = new DisposableStack();
        const other = clients.use(await connect());
        let client = clients.use(await connect());
        for (let cut = 0; cut < bytes.length; cut++) {
          await edge.backend.answers(({ target }, machine) => {
            if (target !== "/cut") return response(`well ${target}`);
            machine.send(bytes.slice(0, cut));
            void leave(machine, exit);
            return null;
          });
          if (!client.isOpen) client = clients.use(await connect());
          const { kind, code } = await client.ask("GET", "/cut");
          const seen = kind === "cut" ? "cut" : code;
          const allowed = [
            ...(cut < headEnd || exit === "resets" ? ["upstream_closed", "upstream_reset"] : []),
            ...(cut < headEnd ? [] : ["cut"]),
          ];
          assert.ok(seen !== null && allowed.includes(seen), `${cut} of ${bytes.length} bytes: ${kind} ${code}`);
          await assertWell(other, "/next");
        }
        await edge.untilReleased();
      });
    }

    test(`a response ${title} in two pieces, cut at any of its bytes, is read by a client of ${protocol} as in one`, async () => {
      using client = await connect();
      for (let cut = 1; cut < bytes.length; cut++) {
        await edge.backend.answers(({ target }, machine) => {
          if (target !== "/cut") return response(`well ${target}`);
          void sendInTwo(machine, bytes, cut);
          return "";
        });
        const seen = await client.ask("GET", "/cut");
        assert.deepEqual(
          { ...seen, interims: 0 },
          { kind: "whole", status: 200, body: "hello world", code: null, interims: 0 },
          `at ${cut}`,
        );
        await assertWell(client, "/next");
      }
      await edge.untilReleased();
    });
  }
}

async function sendInTwo(machine: RawClient, bytes: string, cut: number): Promise<void> {
  machine.send(bytes.slice(0, cut));
  await turn();
  machine.send(bytes.slice(cut));
}

test("a flood of bytes behind a response is not read", async () => {
  let sent = 0;
  await edge.backend.answers((_, machine) => {
    machine.send(response("first"));
    const flood = setInterval(() => {
      if (machine.ended) return clearInterval(flood);
      sent += 100_000;
      return void machine.send("x".repeat(100_000));
    }, 1);
    return null;
  });
  using client = await edge.connect();
  assert.equal((await client.send(get()).response()).body, "first");
  await eventually(() => edge.backend.connections[0]!.ended, "the edge to close the connection");
  assert.ok(sent < 50_000_000);
});
