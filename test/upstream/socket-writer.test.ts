// Many writers on one piece of memory, before readers that are slow: every byte arrives, once and in order, whatever is done with the
// memory afterwards. Real sockets, plain and TLS.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";

import { createRoot } from "../../src/certs/sign.ts";
import { SocketWriter, WriteSlab } from "../../src/upstream/socket-writer.ts";
import { fuzzParameters } from "../http/seed.ts";

const SLAB_BYTES = 136 * 1024;

type Transport = "plain" | "TLS";

/** Our end of a connection, and the client's. */
interface Pair {
  readonly ours: Socket;
  readonly client: Socket;
}

const notBefore = new Date(Date.now() - 60_000);
const root = createRoot({ notBefore, notAfter: new Date(Date.now() + 3_600_000) });

async function createPairs(context: TestContext, transport: Transport, count: number): Promise<Pair[]> {
  const { certificatePem: cert, privateKeyPem: key } = await root;
  const server: Server = transport === "TLS" ? createTlsServer({ cert, key, allowHalfOpen: true }) : createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const pairs: Pair[] = [];
  context.after(() => {
    for (const { ours, client } of pairs) for (const socket of [ours, client]) socket.destroy();
    server.close();
  });
  while (pairs.length < count) {
    const accepted = once(server, transport === "TLS" ? "secureConnection" : "connection");
    const address = { port, host: "127.0.0.1" };
    const client = transport === "TLS" ? connectTls({ ...address, rejectUnauthorized: false }) : connect(address);
    const [ours] = (await accepted) as [Socket];
    for (const socket of [ours, client]) socket.on("error", () => undefined);
    pairs.push({ ours, client });
  }
  return pairs;
}

function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Takes in everything that comes, with pauses. */
function readSlowly(client: Socket, random: () => number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  client.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (random() > 0.3) return;
    client.pause();
    setTimeout(() => client.resume(), random() * 3);
  });
  return once(client, "end").then(() => Buffer.concat(chunks));
}

const readAll = (client: Socket): Promise<Buffer> => readSlowly(client, () => 1);

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

for (const transport of ["plain", "TLS"] as const) {
  const open = async (context: TestContext): Promise<Pair & { writer: SocketWriter; slab: WriteSlab }> => {
    const [pair] = await createPairs(context, transport, 1);
    const slab = new WriteSlab();
    return { ...pair!, slab, writer: new SocketWriter(pair!.ours, slab, transport === "TLS") };
  };

  describe(`over ${transport}`, () => {
    test("five writers that share one slab do not mix, lose or repeat a byte", async (context) => {
      const { seed } = fuzzParameters(1);
      const random = seeded(seed);
      const slab = new WriteSlab();
      const ends = (await createPairs(context, transport, 5)).map(({ ours, client }) => {
        return {
          ours,
          writer: new SocketWriter(ours, slab, transport === "TLS"),
          sent: [] as Buffer[],
          received: readSlowly(client, random),
        };
      });
      const sizeOf = (): number => Math.ceil(random() ** 6 * [200, 20_000, 1_000_000][Math.floor(random() * 3)]!);
      for (let round = 0; round < 1000; round++) {
        const { writer, sent } = ends[Math.floor(random() * ends.length)]!;
        const bytes = Buffer.allocUnsafe(sizeOf()).fill(Buffer.from(`${round}:${Math.floor(random() * 1e9)} `));
        sent.push(Buffer.from(bytes));
        const kind = Math.floor(random() * 3);
        if (kind === 0) writer.text(bytes.toString("latin1"));
        else if (kind === 1) writer.own(bytes, 0, bytes.length);
        else {
          const around = Buffer.concat([Buffer.alloc(5, "<"), bytes, Buffer.alloc(5, ">")]);
          writer.copy(around, 5, 5 + bytes.length);
          around.fill("~");
        }
        if (random() < 0.2) writer.flush();
        if (random() < 0.1) await flushed(slab);
        if (!writer.isFlowing && random() < 0.7) await flushed(slab);
      }
      slab.flush();
      for (const { ours } of ends) ours.end();
      for (const { writer, sent, received } of ends) {
        const expected = Buffer.concat(sent);
        const actual = await received;
        assert.equal(actual.length, expected.length);
        assert.equal(writer.bytes, expected.length);
        assert.ok(actual.equals(expected), `differs first at ${firstDifference(actual, expected)}`);
      }
    });

    test("what was gathered leaves in one write, before what is too large to gather", async (context) => {
      const { ours, client, writer, slab } = await open(context);
      const writes: number[] = [];
      const write = ours.write.bind(ours);
      ours.write = ((bytes: Buffer) => (writes.push(bytes.length), write(bytes))) as typeof ours.write;
      const received = readAll(client);
      for (let part = 0; part < 8; part++) writer.text(`part ${part}, `);
      const large = Buffer.alloc(100_000, "x");
      writer.own(large, 10, 90_000);
      writer.text("end");
      assert.deepEqual(writes, [64, 89_990]);
      slab.flush();
      slab.flush();
      assert.deepEqual(writes, [64, 89_990, 3]);
      ours.end();
      const text = (await received).toString("latin1");
      assert.equal(text.slice(0, 66), "part 0, part 1, part 2, part 3, part 4, part 5, part 6, part 7, xx");
      assert.equal(text.slice(-5), "xxend");
    });

    test("pieces of about the size of the slab, and beyond, arrive whole", async (context) => {
      const { ours, client, writer, slab } = await open(context);
      const received = readAll(client);
      let expected = "";
      for (const size of [SLAB_BYTES - 1, 1, SLAB_BYTES, SLAB_BYTES + 1, 1, 3 * SLAB_BYTES + 7, 0]) {
        const text = String.fromCharCode(97 + (size % 26)).repeat(size);
        writer.text(text);
        const copied = Buffer.from(text, "latin1");
        writer.copy(copied, 0, size);
        copied.fill("~");
        expected += text + text;
      }
      slab.flush();
      ours.end();
      assert.ok((await received).equals(Buffer.from(expected, "latin1")));
    });

    test("a byte above ASCII is one byte", async (context) => {
      const { ours, client, writer } = await open(context);
      const received = readAll(client);
      writer.text("\x80\xff");
      writer.flush();
      ours.end();
      assert.deepEqual([...(await received)], [0x80, 0xff]);
    });

    test("small pieces for a reader that does not read hold no more memory than they need", async (context) => {
      const { client, writer, slab } = await open(context);
      client.pause();
      const large = Buffer.alloc(16 * 1024 * 1024);
      writer.own(large, 0, large.length);
      const { buffer } = slab;
      for (let piece = 0; piece < 500; piece++) {
        writer.text("a hundred bytes or so");
        slab.flush();
      }
      assert.equal(slab.buffer, buffer, "the slab was given away");
      assert.equal(writer.isFlowing, false);
    });

    test("a writer stops flowing before a reader that does not read, and flows again once it has", async (context) => {
      const { ours, client, writer, slab } = await open(context);
      client.pause();
      const piece = Buffer.alloc(64 * 1024);
      let sent = 0;
      while (writer.isFlowing) {
        writer.copy(piece, 0, piece.length);
        slab.flush();
        sent += piece.length;
        await turn();
      }
      assert.equal(writer.bytes, sent);
      client.resume();
      await once(ours, "drain");
      assert.equal(writer.isFlowing, true);
    });

    test("a writer that stops flowing before it is flushed is drained after it", async (context) => {
      const { ours, client, writer, slab } = await open(context);
      const received = readAll(client);
      const bytes = Buffer.alloc(3 * SLAB_BYTES, "x");
      let sent = 0;
      for (const size of [1, 5000, 16_383, 16_384, 65_535, 65_536, 65_537, SLAB_BYTES - 1, SLAB_BYTES, SLAB_BYTES + 1, 2 * SLAB_BYTES]) {
        for (const before of [0, 200, 60_000]) {
          writer.text("y".repeat(before));
          writer.copy(bytes, 0, size);
          sent += before + size;
          const isFlowing = writer.isFlowing;
          const drained = isFlowing ? turn() : once(ours, "drain");
          slab.flush();
          await drained;
        }
      }
      assert.equal(writer.isFlowing, true);
      ours.end();
      assert.equal((await received).length, sent);
    });

    test("what is written to a socket that is gone is lost, and harms no other", async (context) => {
      const [gone, alive] = (await createPairs(context, transport, 2)) as [Pair, Pair];
      const slab = new WriteSlab();
      const [first, second] = [gone, alive].map(({ ours }) => new SocketWriter(ours, slab, transport === "TLS")) as [
        SocketWriter,
        SocketWriter,
      ];
      const received = readAll(alive.client);
      first.text("for nobody");
      gone.ours.destroy();
      second.text("for ");
      first.text("for nobody");
      second.text("somebody");
      slab.flush();
      alive.ours.end();
      assert.equal((await received).toString("latin1"), "for somebody");
    });
  });
}

test("what is written before a connection stands is not overwritten meanwhile", async (context) => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => void server.close());
  const received: Promise<Buffer>[] = [];
  server.on("connection", (peer) => {
    received.push(readAll(peer));
    context.after(() => void peer.destroy());
  });
  const slab = new WriteSlab();
  const sockets = [0, 1].map(() => connect((server.address() as AddressInfo).port, "127.0.0.1"));
  const [early, other] = sockets.map((socket) => new SocketWriter(socket, slab, false)) as [SocketWriter, SocketWriter];
  early.text("early");
  early.flush();
  other.text("XXXXXXXXXX");
  early.text(" bird");
  slab.flush();
  for (const socket of sockets) socket.end();
  while (received.length < 2) await turn();
  const texts = (await Promise.all(received)).map((bytes) => bytes.toString("latin1"));
  assert.deepEqual(texts.toSorted(), ["XXXXXXXXXX", "early bird"]);
});

async function flushed(slab: WriteSlab): Promise<void> {
  slab.flush();
  await turn();
}

function firstDifference(actual: Buffer, expected: Buffer): number {
  return actual.findIndex((byte, index) => byte !== expected[index]);
}
