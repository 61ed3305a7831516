// Machines that speak HTTP/2 wrongly, by mistake or on purpose: a client sees an error of the edge, a response that is recognisably cut, or
// the machine's whole response; what else the connection carries suffers only where the error is one of the connection; and the next
// clients of the machine get what is theirs.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ERRORS, type ErrorCode } from "../../src/core/errors.ts";
import { staticApp } from "../support/backend.ts";
import { clientContext } from "../support/client-context.ts";
import { HOST, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { FrameClient } from "../support/frame-client.ts";
import { FrameMachine, well, type MachineConnection, type MachineRequest } from "../support/frame-machine.ts";
import { FLAG, block, bytes, continuation, data, headers, padded } from "../support/frames.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { Http1AskingClient, Http2AskingClient, type AskingClient, type Seen } from "./hostile-origins/asking-client.ts";
import { STOLEN_MARK } from "./hostile-origins/hostile-case.ts";
import { OPEN, fields, leave, type Http2Case } from "./hostile-origins/http2-case.ts";
import { HTTP2_ENDS, HTTP2_FRAMES, HTTP2_GREETINGS } from "./hostile-origins/http2-connections.ts";
import { HTTP2_BODIES, HTTP2_HEADS, HTTP2_INTERIM, HTTP2_RESETS, HTTP2_TRAILERS } from "./hostile-origins/http2-heads.ts";

const GROUPS: Readonly<Record<string, readonly Http2Case[]>> = {
  "in the place of a head": HTTP2_HEADS,
  "in the place of a body": HTTP2_BODIES,
  "in the place of trailers": HTTP2_TRAILERS,
  "before the final response": HTTP2_INTERIM,
  "a stream that is given up": HTTP2_RESETS,
  "first on a connection": HTTP2_GREETINGS,
  "frames that nobody may send": HTTP2_FRAMES,
  "the end of a connection": HTTP2_ENDS,
};
const CASES = Object.values(GROUPS).flat();

const machine = await FrameMachine.start();
// No connection is closed just because it rests.
const edge = await startTestNode({
  apps: { hello: staticApp("hello", machine.port).replace("internal_port", "http_options = { h2_backend = true }\ninternal_port") },
  tables: '[timeouts]\nupstream_idle = "1h"\n[limits]\nattempts = 3',
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});
await eventually(() => edge.node.control.machines("hello").every(({ state }) => state === "started"), "the machine");
const secureContext = clientContext(rootOf(edge));

const CLIENTS: Readonly<Record<string, () => Promise<AskingClient>>> = {
  "HTTP/1.1": async () => new Http1AskingClient(await RawClient.connect(edge.httpPort)),
  "HTTP/2": async () => new Http2AskingClient(await FrameClient.open(edge.httpsPort, { secureContext, servername: HOST })),
};

const AT_ONCE = 12;

/** What is held back on the first connection, and answered well on any other. */
const BESIDE = "/beside";

function script(request: MachineRequest, connection: MachineConnection): void {
  const [, kind, index] = request.path.split("/");
  if (kind === "hostile") {
    const { sends, exit } = CASES[Number(index)]!;
    connection.send(sends(request.stream));
    leave(connection, exit);
  } else if (request.path !== BESIDE || connection !== machine.connections[0]) well(request, connection);
}

for (const [group, cases] of Object.entries(GROUPS)) {
  for (const [protocol, connect] of Object.entries(CLIENTS)) {
    describe(`${group}, seen by a client of ${protocol}:`, () => {
      let other: AskingClient;
      before(async () => {
        other = await connect();
      });
      after(() => other[Symbol.dispose]());
      for (const hostile of cases) test(hostile.title, () => assertHarmless(hostile, connect, other));
    });
  }
}

async function assertHarmless(hostile: Http2Case, connect: () => Promise<AskingClient>, other: AskingClient): Promise<void> {
  await machine.plays(script, hostile.greeting);
  using client = await connect();
  using neighbour = await connect();
  const target = `/hostile/${CASES.indexOf(hostile)}`;
  if (hostile.greeting !== undefined) {
    assertSeen(hostile, await client.ask("GET", target), client);
    machine.greets({});
  } else {
    // The connection to the machine has been of use before, and carries something else, too.
    await assertWell(client, "/before");
    const beside = neighbour.ask("GET", BESIDE);
    const held = await machine.request(BESIDE);
    const carrier = machine.connections[0]!;
    assertSeen(hostile, await client.ask(hostile.method ?? "GET", target), client);
    if (hostile.breaks === "stream") {
      assert.equal(machine.carrier(target), carrier);
      carrier.answer(held.stream, `well ${BESIDE}`);
      assertIsWell(await beside, BESIDE);
    } else if (hostile.sees.kind === "whole") {
      carrier.answer(held.stream, `well ${BESIDE}`);
      assertIsWell(await beside, BESIDE);
      await eventually(() => carrier.hasEnded, "the edge to close the machine's connection");
    } else {
      const seen = await Promise.race([
        beside,
        eventually(() => carrier.goaway !== null || carrier.hasEnded, "the end").then(() => beside),
      ]);
      if (seen.code === null) assertIsWell(seen, BESIDE);
      else assert.equal(ERRORS[seen.code as ErrorCode].blame, "upstream");
      await eventually(() => carrier.hasEnded, "the edge to close the machine's connection");
    }
    assert.deepEqual(carrier.violations, []);
  }
  // What had a whole head may be cut behind it.
  if (client.isOpen && hostile.sees.kind !== "broken") await assertWell(client, "/same");
  for (const next of ["/next", "/after"]) await assertWell(other, next);
  assert.equal(client.received.includes(STOLEN_MARK), false);
  if (hostile.breaks === "stream") assert.equal(machine.connections.length, 1, "the connection is used again");
  await untilReleased();
}

function untilReleased(): Promise<void> {
  return eventually(() => edge.node.control.inFlight("hello-1") === 0, "the machine's places to be given back");
}

async function assertWell(client: AskingClient, target: string): Promise<void> {
  assertIsWell(await client.ask("GET", target), target);
}

function assertIsWell(seen: Seen, target: string): void {
  assert.deepEqual(seen, { kind: "whole", status: 200, body: `well ${target}`, code: null, interims: 0 });
}

function assertSeen({ sees, interims }: Http2Case, seen: Seen, client: AskingClient): void {
  if (sees.kind === "whole") assert.deepEqual({ ...seen, interims: 0 }, { ...sees, code: null, interims: 0 });
  else if (sees.kind === "cut") assert.equal(seen.kind, "cut", JSON.stringify(seen));
  else if (sees.kind === "error") {
    assert.ok(seen.kind === "whole" && seen.code !== null, JSON.stringify(seen));
    assert.equal(seen.status, ERRORS[seen.code as ErrorCode].status);
    assert.ok(sees.codes.includes(seen.code), seen.code);
  } else if (seen.kind === "whole" && seen.code === null) assert.ok(["", "hello"].includes(seen.body), JSON.stringify(seen));
  if (interims !== undefined) assert.equal(seen.interims, interims);
  assert.equal(client.received.includes(STOLEN_MARK), false, client.received.slice(0, 500));
}

for (const [protocol, connect] of Object.entries(CLIENTS)) {
  test(`all of them at the same time on shared connections, among ${AT_ONCE} clients of ${protocol} who get what is theirs or an error`, async () => {
    await machine.plays(script);
    // Behind a frame that is cut off the machine's next answer would be the rest of it.
    const turns = CASES.entries().filter(([, { greeting, exit }]) => greeting === undefined && exit === undefined);
    let served = 0;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, nth) => {
        for (const [round, { method }] of turns) {
          using client = await connect();
          const seen = await client.ask(method ?? "GET", `/hostile/${round}`);
          assert.ok(seen.code !== null || seen.kind === "cut" || ["", "hello"].includes(seen.body), JSON.stringify(seen));
          using other = await connect();
          const own = await other.ask("GET", `/own/${nth}/${round}`);
          if (own.kind === "whole" && own.code === null) {
            assertIsWell(own, `/own/${nth}/${round}`);
            served++;
          } else assert.ok(own.code === null || ERRORS[own.code as ErrorCode].blame === "upstream", JSON.stringify(own));
          for (const { received } of [client, other]) assert.equal(received.includes(STOLEN_MARK), false);
        }
      }),
    );
    // A connection that a case breaks off takes those who share it with it: how many of them depends on who comes at the same moment.
    assert.ok(served > CASES.length / 10, `${served} were served`);
    await untilReleased();
    using client = await connect();
    await assertWell(client, "/after");
  });
}

const RESPONSES: Readonly<Record<string, (stream: number) => Buffer>> = {
  "of a length": (s) => bytes(headers(s, fields(["content-length", "11"]), OPEN), data(s, "hello ", 0), data(s, "world")),
  "without a length, and padded": (s) => bytes(headers(s, fields(), OPEN), data(s, padded("hello world", 3), FLAG.padded | FLAG.endStream)),
  "with trailers, in several frames": (s) =>
    bytes(headers(s, "", 0), continuation(s, fields()), data(s, "hello world", 0), headers(s, block([["x-sum", "1"]]))),
};

for (const [protocol, connect] of Object.entries(CLIENTS)) {
  for (const [title, sends] of Object.entries(RESPONSES)) {
    const { length } = sends(1);

    test(`a response ${title} that ends at any of its bytes is never taken for a whole one by a client of ${protocol}`, async () => {
      using clients = new DisposableStack();
      const other = clients.use(await connect());
      let client = clients.use(await connect());
      for (let cut = 0; cut < length; cut++) {
        await machine.plays((request, connection) => {
          if (request.path !== "/cut") return well(request, connection);
          connection.send(sends(request.stream).subarray(0, cut));
          leave(connection, "ends");
        });
        if (!client.isOpen) client = clients.use(await connect());
        const seen = await client.ask("GET", "/cut");
        // To HTTP/1.1 a body that has its length is complete, whatever becomes of the stream.
        const isComplete = seen.kind === "whole" && seen.body === "hello world" && title === "of a length";
        assert.ok(
          seen.kind === "cut" || seen.code === "upstream_closed" || isComplete,
          `${cut} of ${length} bytes: ${JSON.stringify(seen)}`,
        );
        await assertWell(other, "/next");
      }
      await untilReleased();
    });

    test(`a response ${title} in two pieces, cut at any of its bytes, is read by a client of ${protocol} as in one`, async () => {
      await machine.plays((request, connection) => {
        const [, kind, cut] = request.path.split("/");
        if (kind !== "two") return well(request, connection);
        connection.send(sends(request.stream).subarray(0, Number(cut)));
        setImmediate(() => connection.send(sends(request.stream).subarray(Number(cut))));
      });
      using client = await connect();
      for (let cut = 1; cut < length; cut++) {
        const seen = await client.ask("GET", `/two/${cut}`);
        assert.deepEqual(seen, { kind: "whole", status: 200, body: "hello world", code: null, interims: 0 }, `at ${cut}`);
      }
      await untilReleased();
      assert.equal(machine.connections.length, 1);
    });
  }
}
