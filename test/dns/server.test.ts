// The server over real sockets: what resolvers ask, what they should not, and what nobody should send.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { describe, test } from "node:test";
import { setImmediate as turnOfLoop } from "node:timers/promises";
import fc from "fast-check";
import { fuzzParameters } from "../http/seed.ts";
import { eventually } from "../support/eventually.ts";
import { askUdp, framed, queryOf, replyOf, TcpClient, textsOf } from "./client.ts";
import { LABEL, RunningDns, ZONE } from "./running-server.ts";

const NAME = `${LABEL}.${ZONE}`;
const LONG = Array.from({ length: 20 }, (_, i) => `${i}`.padStart(43, "v"));

describe("a DNS server", () => {
  test("answers with the values at a label, by UDP and by TCP, as the authority for them", async () => {
    await using dns = await RunningDns.start();
    using tcp = await TcpClient.open(dns.address);
    tcp.send(queryOf(NAME));
    for (const reply of [await askUdp(dns.address, queryOf(NAME)), await tcp.reply()]) {
      assert.deepEqual(textsOf(reply!), ["first value", "second value"]);
      assert.deepEqual(
        [reply!.id, reply!.rcode, reply!.flag_aa, reply!.flag_tc, reply!.flag_ra, reply!.flag_rd],
        [4711, "NOERROR", true, false, false, true],
      );
    }
  });

  test("sends the question back as it was written, capital letters and all", async () => {
    await using dns = await RunningDns.start();
    const query = queryOf(NAME.replace("a", "A").replace("example", "eXaMpLe"));
    const reply = await askUdp(dns.address, query);
    assert.equal(textsOf(reply).length, 2);
    assert.deepEqual(reply.bytes.subarray(12, query.length), query.subarray(12));
  });

  test("tells names that do not exist from types that do not, with how long that holds", async () => {
    await using dns = await RunningDns.start();
    const absent = await askUdp(dns.address, queryOf(`other.${ZONE}`));
    const noData = await askUdp(dns.address, queryOf(NAME, { type: "AAAA" }));
    for (const [reply, rcode] of [
      [absent, "NXDOMAIN"],
      [noData, "NOERROR"],
    ] as const) {
      assert.deepEqual([reply.rcode, reply.flag_aa, reply.answers, reply.authorities!.map(({ type }) => type)], [rcode, true, [], ["SOA"]]);
    }
  });

  test("refuses names of other zones, and does not look anything up for them", async () => {
    const asked: string[] = [];
    await using dns = await RunningDns.start({ lookup: (label) => (asked.push(label), []) });
    const reply = await askUdp(dns.address, queryOf("www.example.com", { type: "A" }));
    assert.deepEqual([reply.rcode, reply.flag_aa, reply.answers, reply.authorities], ["REFUSED", false, [], []]);
    assert.deepEqual(asked, []);
  });

  test("does not know other operations than queries", async () => {
    await using dns = await RunningDns.start();
    for (const opcode of [1, 2, 4, 5, 15]) {
      const message = queryOf(NAME);
      message.writeUInt16BE(opcode << 11, 2);
      const { rcode, bytes } = await askUdp(dns.address, message);
      assert.deepEqual([rcode, bytes.length, bytes.readUInt16BE(2) >> 11], ["NOTIMP", 12, 0x10 | opcode]);
    }
  });

  test("says of a malformed query no more than that", async () => {
    await using dns = await RunningDns.start();
    const whole = queryOf(NAME, { edns: 1232 });
    const twoQuestions = queryOf(NAME);
    twoQuestions.writeUInt16BE(2, 4);
    const noQuestion = Buffer.from(queryOf(NAME).subarray(0, 12));
    noQuestion.writeUInt16BE(0, 4);
    // Compression of a name that has nothing before it
    const compressed = Buffer.concat([queryOf(NAME).subarray(0, 12), Buffer.of(0xc0, 0x0c, 0, 16, 0, 1)]);
    const trailing = Buffer.concat([queryOf(NAME), Buffer.of(0)]);
    for (const message of [whole.subarray(0, -1), whole.subarray(0, 20), twoQuestions, noQuestion, compressed, trailing]) {
      const { rcode, bytes } = await askUdp(dns.address, message);
      assert.deepEqual([rcode, bytes.length], ["FORMERR", 12]);
    }
  });

  test("does not take a dot within a label for the end of one", async () => {
    await using dns = await RunningDns.start({ zone: { name: "example.net", nameServers: { "ns.example.com": [] } } });
    const name = Buffer.concat([Buffer.of(13), Buffer.from("label.example"), Buffer.of(3), Buffer.from("net"), Buffer.of(0, 0, 16, 0, 1)]);
    const { rcode, bytes } = await askUdp(dns.address, Buffer.concat([queryOf(NAME).subarray(0, 12), name]));
    assert.equal(rcode, "REFUSED");
    assert.deepEqual(bytes.subarray(12), name);
  });

  test("answers without records what is too long for UDP, so that the client asks by TCP", async () => {
    await using dns = await RunningDns.start({ lookup: () => LONG });
    for (const [edns, most] of [
      [undefined, 512],
      [100, 512],
      [900, 900],
      [65_535, 1232],
    ] as const) {
      const reply = await askUdp(dns.address, queryOf(NAME, edns === undefined ? {} : { edns }));
      assert.deepEqual([reply.flag_tc, reply.answers, reply.bytes.length <= most], [true, [], true], `${edns}`);
    }
    using tcp = await TcpClient.open(dns.address);
    tcp.send(queryOf(NAME));
    const reply = await tcp.reply();
    assert.deepEqual([reply!.flag_tc, textsOf(reply!)], [false, LONG]);
  });

  test("has a longer answer for a client that can take it", async () => {
    await using dns = await RunningDns.start({ lookup: () => LONG.slice(0, 8) });
    assert.equal((await askUdp(dns.address, queryOf(NAME))).flag_tc, true);
    const reply = await askUdp(dns.address, queryOf(NAME, { edns: 1232 }));
    assert.deepEqual([reply.flag_tc, textsOf(reply).length, reply.bytes.length > 512], [false, 8, true]);
    assert.equal(reply.additionals![0]!.type, "OPT");
  });

  test("divides a value that is longer than a string may be", async () => {
    const values = ["v".repeat(255), "w".repeat(256), ""];
    await using dns = await RunningDns.start({ lookup: () => values });
    assert.deepEqual(textsOf(await askUdp(dns.address, queryOf(NAME, { edns: 1232 }))), values);
  });

  test("knows no other version of EDNS than the first", async () => {
    await using dns = await RunningDns.start();
    const message = queryOf(NAME, { edns: 1232 });
    message[message.length - 5] = 1;
    const { rcode, additionals, answers } = await askUdp(dns.address, message);
    const [options] = additionals!;
    assert.deepEqual([rcode, options?.type === "OPT" && options.extendedRcode, answers], ["NOERROR", 1, []]);
  });

  test("says that it failed when the values cannot be had, or not in time", async () => {
    await using broken = await RunningDns.start({ lookup: () => Promise.reject(new Error("the store is gone")) });
    assert.equal((await askUdp(broken.address, queryOf(NAME))).rcode, "SERVFAIL");
    await using slow = await RunningDns.start({ lookup: () => new Promise(() => {}), lookupMs: 20 });
    assert.equal((await askUdp(slow.address, queryOf(NAME))).rcode, "SERVFAIL");
    assert.equal((await askUdp(slow.address, queryOf(ZONE, { type: "SOA" }))).rcode, "NOERROR");
  });

  test("does not answer answers, nor what is too short to be a query", async () => {
    await using dns = await RunningDns.start();
    const answer = queryOf(NAME);
    answer.writeUInt16BE(0x8000, 2);
    const socket = createSocket("udp4");
    const received: Buffer[] = [];
    socket.on("message", (message) => received.push(message));
    for (const message of [answer, Buffer.alloc(0), Buffer.alloc(11), queryOf(NAME)]) socket.send(message, dns.address.port, "127.0.0.1");
    await eventually(() => dns.results.length === 4, "four messages");
    await eventually(() => received.length > 0, "the answer to the last");
    socket.close();
    assert.deepEqual(dns.results.toSorted(), ["ignored", "ignored", "ignored", "noerror"]);
    assert.equal(replyOf(received[0]!).rcode, "NOERROR");
  });

  test("answers a network that asks too much with less than it asked for, or not at all", async () => {
    await using dns = await RunningDns.start();
    const socket = createSocket("udp4");
    const query = queryOf(NAME, { edns: 1232 });
    const answers: Buffer[] = [];
    socket.on("message", (message) => answers.push(message));
    for (let sent = 0; sent < 400; sent++) {
      // No faster than they are read: the kernel keeps few.
      await new Promise((resolve) => socket.send(query, dns.address.port, "127.0.0.1", resolve));
      await turnOfLoop();
    }
    await eventually(() => dns.results.length === 400, "all of them");
    const dropped = dns.results.filter((result) => result === "dropped").length;
    await eventually(() => answers.length === 400 - dropped, "the answers");
    socket.close();
    const deferrals = answers.map(replyOf).filter(({ flag_tc: isTruncated }) => isTruncated);
    assert.ok(deferrals.length > 50 && Math.abs(deferrals.length - dropped) <= 1, `${deferrals.length} deferred, ${dropped} dropped`);
    for (const { bytes, answers: records } of deferrals) assert.deepEqual([bytes.length, records], [query.length, []]);
    // Whoever is really there gets through by TCP.
    using tcp = await TcpClient.open(dns.address);
    tcp.send(query);
    assert.equal(textsOf((await tcp.reply())!).length, 2);
  });
});

describe("a DNS server's TCP connections", () => {
  test("carry several queries, in one piece or byte by byte, answered in their order", async () => {
    await using dns = await RunningDns.start();
    using tcp = await TcpClient.open(dns.address);
    tcp.send(queryOf(NAME, { id: 1 }), queryOf(`other.${ZONE}`, { id: 2 }), queryOf(ZONE, { id: 3, type: "NS" }));
    for (const byte of framed(queryOf(NAME, { id: 4 }))) tcp.socket.write(Buffer.of(byte));
    const replies = [await tcp.reply(), await tcp.reply(), await tcp.reply(), await tcp.reply()];
    assert.deepEqual(
      replies.map((reply) => [reply!.id, reply!.rcode]),
      [
        [1, "NOERROR"],
        [2, "NXDOMAIN"],
        [3, "NOERROR"],
        [4, "NOERROR"],
      ],
    );
  });

  test("answer a client that is done with sending, and end then", async () => {
    await using dns = await RunningDns.start({ lookup: () => new Promise((resolve) => setImmediate(() => resolve(["late"]))) });
    using tcp = await TcpClient.open(dns.address);
    tcp.socket.end(framed(queryOf(NAME)));
    assert.deepEqual(textsOf((await tcp.reply())!), ["late"]);
    assert.equal(await tcp.reply(), null);
  });

  test("end when they are silent, and when a message takes too long to come", async () => {
    await using dns = await RunningDns.start({ idleMs: 50 });
    using silent = await TcpClient.open(dns.address);
    assert.equal(await silent.reply(), null);
    using slow = await TcpClient.open(dns.address);
    const dripping = setInterval(() => slow.socket.write(Buffer.of(1)), 5);
    assert.equal(await slow.reply(), null);
    clearInterval(dripping);
  });

  test("end at once for a message that is too long, or no query", async () => {
    await using dns = await RunningDns.start();
    for (const start of [Buffer.of(0xff, 0xff), Buffer.of(0, 0), framed(Buffer.alloc(12, 0xff))]) {
      using tcp = await TcpClient.open(dns.address);
      tcp.socket.write(start);
      assert.equal(await tcp.reply(), null);
    }
  });

  test("are so many of one address, and others are let in when some end", async () => {
    await using dns = await RunningDns.start();
    const clients = await Promise.all(Array.from({ length: 9 }, () => TcpClient.open(dns.address)));
    for (const client of clients) client.send(queryOf(NAME));
    const replies = await Promise.all(clients.map((client) => client.reply()));
    assert.equal(replies.filter((reply) => reply === null).length, 1);
    for (const client of clients) client[Symbol.dispose]();
    await eventually(async () => {
      using again = await TcpClient.open(dns.address);
      again.send(queryOf(NAME));
      return (await again.reply()) !== null;
    }, "a place");
  });
});

describe("a DNS server's life", () => {
  test("begins with all addresses or with the reason why not", async () => {
    await using first = await RunningDns.start();
    await assert.rejects(RunningDns.start({ listen: [{ host: "127.0.0.1", port: 0 }, first.address] }), {
      code: "config_invalid",
      message: `the DNS server cannot listen on "127.0.0.1" port ${first.address.port}: another program listens there, a resolver perhaps; name the public address alone`,
    });
  });

  test("goes on whatever it is sent", async () => {
    await using dns = await RunningDns.start();
    const socket = createSocket("udp4");
    const valid = queryOf(NAME, { edns: 1232 });
    const mutated = fc
      .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
      .map((changes) => changes.reduce((message, [at, byte]) => ((message[at] = byte), message), Buffer.from(valid)));
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
      mutated,
    );
    await fc.assert(
      fc.asyncProperty(garbage, async (message) => {
        const before = dns.results.length;
        socket.send(message, dns.address.port, "127.0.0.1");
        await eventually(() => dns.results.length > before, "what became of it");
      }),
      fuzzParameters(150),
    );
    socket.close();
    using tcp = await TcpClient.open(dns.address);
    tcp.send(queryOf(NAME));
    assert.equal(textsOf((await tcp.reply())!).length, 2);
  });

  test("ends any connection whose client has nothing more to say, whatever that was, in whatever pieces", async () => {
    await using dns = await RunningDns.start();
    const bytes = fc.uint8Array({ maxLength: 300 }).map((piece) => Buffer.from(piece));
    const piece = fc.oneof(bytes, bytes.map(framed), fc.constant(framed(queryOf(NAME))));
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 5 }), async (pieces) => {
        using client = await TcpClient.open(dns.address);
        client.socket.on("error", () => {});
        for (const one of pieces) client.socket.write(one);
        client.socket.end();
        while ((await client.reply()) !== null) assert.ok(dns.results.length > 0);
      }),
      fuzzParameters(100),
    );
    const reply = await askUdp(dns.address, queryOf(NAME));
    assert.equal(reply.rcode, "NOERROR");
  });
});
