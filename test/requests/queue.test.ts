// Those who find every machine at its hard limit wait in a queue: first in first out, bounded in number and in time, and let go at once when
// the client leaves (reference section 3.2); what they are told otherwise (section 3.4).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { freePort, staticApp } from "../support/backend.ts";
import { get, startEdge } from "../support/edge.ts";
import { createRandom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp } from "../support/raw-apps.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const RAW_PORT = 5000;
const MOST_WAITING = 5;
const WAIT_MS = 20_000;

const rawMachine = await ScriptedBackend.start(() => null);
const dead = await freePort();
const edge = await startEdge({
  edit: (text) => text.replace("[kittiwake]", `hard_limit = 1\n[kittiwake]\nwake_timeout = "${WAIT_MS}ms"`),
  apps: {
    raw: rawApp("raw", {
      machines: [rawMachine.port],
      port: `port = ${RAW_PORT}`,
      service: 'concurrency = { type = "connections", hard_limit = 1 }',
      more: `wake_timeout = "${WAIT_MS}ms"`,
    }),
    dead: staticApp("dead", dead).replace("[kittiwake]", '[kittiwake]\nwake_timeout = "1ms"'),
    none: 'app = "none"\nprimary_region = "ams"\n[processes]\napp = "true"\n[http_service]\nauto_start_machines = false\nauto_stop_machines = "stop"\n',
    secure: staticApp("secure", dead).replace("[http_service]\n", "[http_service]\nforce_https = true\n"),
  },
  ports: [RAW_PORT],
  tables: `[limits]\nwaiting_per_app = ${MOST_WAITING}`,
});
after(async () => {
  await edge[Symbol.asyncDispose]();
  await rawMachine[Symbol.asyncDispose]();
});

/** One request that the machine holds, and so many more that wait behind it, in order. */
async function line(count: number): Promise<{ release: () => void; waiting: RawClient[] }> {
  await edge.untilReleased();
  await edge.backend.answers(() => null);
  const first = await edge.connect();
  first.send(get("/first"));
  const held = await edge.backend.connection();
  await edge.backend.request();
  edge.backend.continuesWith(({ target }) => response(target, ["connection: close"]));
  const waiting: RawClient[] = [];
  for (let i = 0; i < count; i++) {
    waiting.push((await edge.connect()).send(get(`/${i}`)));
    await edge.test.settle();
  }
  return {
    release: () => {
      held.send(response("held", ["connection: close"])).end();
      void first.response().then(() => first.socket.destroy());
    },
    waiting,
  };
}

function leave(clients: readonly RawClient[]): void {
  for (const { socket } of clients) socket.destroy();
}

test("(3.2) requests at the hard limit are let in first in, first out", async () => {
  const { release, waiting } = await line(MOST_WAITING);
  release();
  await Promise.all(waiting.map(async (client, i) => assert.equal((await client.response()).body, `/${i}`)));
  assert.deepEqual(
    edge.backend.requests.map(({ target }) => target),
    ["/first", ...waiting.map((_, i) => `/${i}`)],
  );
  leave(waiting);
});

test("(3.2, 3.4) one more than may wait is 503 with retry-after at once", async () => {
  const { release, waiting } = await line(MOST_WAITING);
  using surplus = await edge.connect();
  const answer = await surplus.send(get("/surplus")).response();
  assert.deepEqual([answer.status, answer.header("kittiwake-error"), answer.header("retry-after")], [503, "queue_full", "1"]);
  release();
  await Promise.all(waiting.map((client) => client.response()));
  leave(waiting);
});

test("(3.2, 3.4) who waits too long is 503 with retry-after", async () => {
  const { release, waiting } = await line(2);
  for (const answer of await edge.test.endsAfter(WAIT_MS, Promise.all(waiting.map((client) => client.response())))) {
    assert.deepEqual([answer.status, answer.header("kittiwake-error"), answer.header("retry-after")], [503, "at_capacity", "1"]);
  }
  release();
  leave(waiting);
});

test("(3.2) the place in the queue of a client that leaves is free at once, and nothing of it reaches the machine", async () => {
  const { release, waiting } = await line(MOST_WAITING);
  waiting[0]!.reset();
  waiting[2]!.reset();
  await edge.test.settle();
  using late = await edge.connect();
  late.send(get("/late"));
  await edge.test.settle();
  release();
  assert.equal((await late.response()).body, "/late");
  assert.deepEqual(
    edge.backend.requests.map(({ target }) => target),
    ["/first", "/1", "/3", "/4", "/late"],
  );
  leave(waiting);
});

test("(3.2) TCP connections queue too: in order, bounded in number and time, and let go when the client leaves", async () => {
  const connect = (): Promise<RawClient> => RawClient.connect(edge.test.boundPort(RAW_PORT));
  const first = await connect();
  const held = await rawMachine.connection();
  const waiting: RawClient[] = [];
  for (let i = 0; i < MOST_WAITING; i++) {
    waiting.push((await connect()).send(`number ${i}`));
    await edge.test.settle();
  }
  const wasReset = await connect().then(
    async (surplus) => {
      await surplus.untilEnd();
      return surplus.wasReset;
    },
    // It may be gone before its client knows that it stood.
    (error: NodeJS.ErrnoException) => error.code === "ECONNRESET",
  );
  assert.ok(wasReset, "one more than may wait");

  waiting[0]!.reset();
  await edge.test.settle();
  held.reset();
  await first.untilEnd();
  const second = await rawMachine.connection(1);
  assert.equal(await second.until((text) => text !== ""), "number 1");

  await edge.test.endsAfter(WAIT_MS, Promise.all(waiting.slice(2).map((client) => client.untilEnd())));
  assert.equal(rawMachine.connections.length, 2);
  leave(waiting);
  second.reset();
});

for (const [row, host, status, code] of [
  ["force_https", "secure", 301, null],
  ["a machine that refuses", "dead", 502, "connect_refused"],
  ["no started machine", "none", 503, "no_machine"],
] as const) {
  test(`(3.4) ${row} is ${status}`, async () => {
    using client = await edge.connect();
    const answer = await client.send(`GET / HTTP/1.1\r\nhost: ${host}.localhost\r\n\r\n`).response();
    assert.deepEqual([answer.status, answer.header("kittiwake-error")], [status, code]);
  });
}

for (const [how, end] of [
  ["reset", (machine: RawClient) => machine.reset()],
  ["closed early", (machine: RawClient) => machine.socket.destroy()],
] as const) {
  test(`(3.4) a connection that the machine ${how} is 502`, async () => {
    await edge.untilReleased();
    await edge.backend.answers((_, machine) => {
      end(machine);
      return null;
    });
    using client = await edge.connect();
    assert.equal((await client.send(get())).socket.destroyed, false);
    assert.equal((await client.response()).status, 502);
  });
}

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
test(`(3.2, 3.5) no request is lost or answered twice by a machine that fails at random, and its hard limit holds (seed ${seed})`, async () => {
  await edge.untilReleased();
  const random = createRandom(seed);
  let mostAtOnce = 0;
  await edge.backend.answers(({ target }, machine) => {
    mostAtOnce = Math.max(mostAtOnce, edge.inFlight);
    const luck = random();
    if (luck < 0.2) machine.reset();
    else if (luck < 0.3) machine.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").reset();
    else return response(target, luck < 0.6 ? ["connection: close"] : []);
    return null;
  });
  const outcomes = { answered: 0, failed: 0, refused: 0, cut: 0 };
  const ask = async (name: string): Promise<void> => {
    using client = await edge.connect();
    const method = random() < 0.5 ? "POST" : "PUT";
    const body = random() < 0.5 ? "b".repeat(20_000) : "";
    client.send(
      `${method} /${name} HTTP/1.1\r\nhost: hello.localhost\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    );
    await client.untilEnd();
    const answers = client.received.split("HTTP/1.1 ").slice(1);
    if (answers.length === 0) assert.fail(`request ${name} was lost`);
    assert.equal(answers.length, 1, client.received);
    if (answers[0]!.startsWith("502")) outcomes.failed++;
    else if (answers[0]!.startsWith("503")) outcomes.refused++;
    else if (answers[0]!.endsWith(`\r\n\r\n/${name}`)) outcomes.answered++;
    else {
      assert.match(answers[0]!, /^200 [^]*\r\n\r\n$/, "part of a response, and never one of another request");
      outcomes.cut++;
    }
  };
  for (let round = 0; round < 40; round++) {
    await Promise.all(Array.from({ length: 1 + Math.floor(random() * 9) }, (_, i) => ask(`${round}-${i}`)));
  }
  assert.equal(mostAtOnce, 1);
  assert.ok(Math.min(outcomes.answered, outcomes.failed) > 0, JSON.stringify(outcomes));
  await edge.untilReleased();
});
