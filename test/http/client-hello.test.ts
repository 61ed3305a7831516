// The name and the protocols in a ClientHello, however it is cut up; and what is refused, at the first byte that shows it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { ProxyError } from "../../src/core/errors.ts";
import { ClientHelloReader, MAX_HELLO_BYTES, type ClientHello } from "../../src/http/client-hello.ts";
import { helloMessage, inRecords, protocolsExtension, serverNameExtension, vector } from "../support/client-hello.ts";
import { fuzzParameters } from "./seed.ts";

/** Reads it as it would come in segments of these sizes, the last one over and over. */
function read(bytes: Buffer, sizes: readonly number[] = [bytes.length]): ClientHello | null {
  const reader = new ClientHelloReader();
  let length = 0;
  for (let i = 0; length < bytes.length; i++) {
    length = Math.min(bytes.length, length + (sizes[i] ?? sizes.at(-1)!));
    const hello = reader.read(bytes, length);
    if (hello !== null) {
      assert.equal(length, bytes.length, "it was whole before its end");
      return hello;
    }
  }
  return null;
}

function refusal(bytes: Buffer, sizes?: readonly number[]): string {
  try {
    read(bytes, sizes);
  } catch (error) {
    assert.ok(error instanceof ProxyError && error.code === "tls_handshake_failed", String(error));
    return error.message;
  }
  return assert.fail("it was not refused");
}

test("what OpenSSL sends is read, with its name and protocols, and without", async () => {
  for (const [servername, protocols] of [
    ["hello.example.com", ["h2", "http/1.1"]],
    ["", []],
  ] as const) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const client = connectTls({ port, host: "127.0.0.1", servername, ALPNProtocols: [...protocols] }).on("error", () => {});
    const [socket] = await once(server, "connection");
    const reader = new ClientHelloReader();
    let bytes = Buffer.alloc(0);
    let hello: ClientHello | null = null;
    while (hello === null) {
      const [chunk] = (await once(socket, "data")) as [Buffer];
      bytes = Buffer.concat([bytes, chunk]);
      hello = reader.read(bytes, bytes.length);
    }
    assert.deepEqual(hello, { serverName: servername === "" ? null : servername, protocols });
    client.destroy();
    socket.destroy();
    server.close();
  }
});

test("a name and protocols are found across any records and segments, and whatever its case", () => {
  const property = fc.property(
    fc.option(fc.stringMatching(/^[A-Za-z0-9.-]{1,255}$/), { nil: null }),
    fc.integer({ min: 0, max: 3000 }),
    fc.integer({ min: 1, max: 4000 }),
    fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 }),
    fc.array(fc.tuple(fc.integer({ min: 100, max: 65_535 }), fc.uint8Array({ maxLength: 40 })), { maxLength: 4 }),
    fc.array(fc.stringMatching(/^[a-z0-9/.-]{1,255}$/), { maxLength: 8 }),
    (name, padding, recordBytes, sizes, more, protocols) => {
      const others = [...new Map(more)].map(([type, content]) => [type, Buffer.from(content)] as const);
      const extensions = protocols.length === 0 ? others : [...others, [16, protocolsExtension(protocols)] as const];
      const bytes = inRecords(helloMessage({ name, padding, extensions }), recordBytes);
      assert.deepEqual(read(bytes, sizes), { serverName: name, protocols });
    },
  );
  fc.assert(property, fuzzParameters(2000));
});

test("a hello of TLS 1.2 without extensions has no name and no protocols", () => {
  assert.deepEqual(read(inRecords(helloMessage({ hasExtensions: false }))), { serverName: null, protocols: [] });
});

test("a hello may be as long as 64 KB, and no longer", () => {
  const atMost = 65_536 - helloMessage({ name: "a.example", padding: 1 }).length + 5;
  assert.equal(read(inRecords(helloMessage({ name: "a.example", padding: atMost - 400 })))?.serverName, "a.example");
  const longer = inRecords(Buffer.concat([Buffer.from([1, 1, 0, 1]), Buffer.alloc(100_000)]));
  // The length alone is enough to tell.
  assert.match(refusal(longer.subarray(0, 16_384 + 5)), /too long/);
  // Cut into records of a byte each it is mostly headers, which count as well.
  assert.match(refusal(inRecords(helloMessage({ padding: 30_000 }), 1).subarray(0, MAX_HELLO_BYTES), [1000]), /too long/);
});

test("what is no ClientHello is refused at the first byte that shows it", () => {
  const good = inRecords(helloMessage({ name: "a.example" }));
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = value;
    return bytes;
  };
  assert.match(refusal(Buffer.from("G")), /not TLS/);
  assert.match(refusal(Buffer.from([22, 2])), /version/);
  assert.match(refusal(Buffer.from([22, 3, 1, 0, 0])), /impossible length/);
  assert.match(refusal(Buffer.from([22, 3, 1, 0x40, 1])), /impossible length/);
  assert.match(refusal(changed(5, 2)), /another message/);
  assert.match(refusal(changed(8, good[8]! - 1)), /something follows it/);
  assert.match(refusal(Buffer.concat([inRecords(helloMessage({}).subarray(0, 20)), Buffer.from([23])])), /not TLS/);
  assert.match(refusal(changed(43, 33)), /session id|a length in it is wrong/);
});

test("a malformed list of protocols is refused", () => {
  const good = protocolsExtension(["h2"]);
  for (const content of [Buffer.alloc(0), vector(2, Buffer.alloc(0)), vector(2, vector(1, Buffer.alloc(0))), Buffer.concat([good, good])]) {
    const bytes = inRecords(helloMessage({ extensions: [[16, content]] }));
    assert.match(refusal(bytes), /list of protocols is malformed|a length in it is wrong/, content.toString("hex"));
  }
  const short = Buffer.from(good);
  short[2] = 3;
  assert.match(refusal(inRecords(helloMessage({ extensions: [[16, short]] }))), /a length in it is wrong/);
});

test("a malformed list of names or extensions is refused", () => {
  const withName = (content: Buffer): Buffer => inRecords(helloMessage({ extensions: [[0, content]] }));
  const name = Buffer.from("a.example");
  const entry = Buffer.concat([Buffer.from([0]), vector(2, name)]);
  for (const content of [
    Buffer.alloc(0),
    vector(2, Buffer.alloc(0)),
    vector(2, Buffer.concat([entry, entry])),
    Buffer.concat([serverNameExtension(name), Buffer.from([0])]),
    vector(2, Buffer.concat([Buffer.from([1]), vector(2, name)])),
    serverNameExtension(Buffer.alloc(0)),
    serverNameExtension(Buffer.from("a\0.example")),
    serverNameExtension(Buffer.from("a b")),
    serverNameExtension(Buffer.from("\u00e9.example")),
    serverNameExtension(Buffer.alloc(256, 97)),
  ]) {
    assert.match(refusal(withName(content)), /server name is malformed|a length in it is wrong/, content.toString("hex"));
  }
  const twice = serverNameExtension(name);
  assert.match(
    refusal(
      inRecords(
        helloMessage({
          extensions: [
            [0, twice],
            [0, twice],
          ],
        }),
      ),
    ),
    /repeated/,
  );
});

test("no bytes make it fail in another way, or read beyond its bounds", () => {
  const cut = fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 120 }), fc.boolean(), (noise, at, isInside) => {
    const good = inRecords(helloMessage({ name: "a.example" }));
    const bytes = isInside ? Buffer.concat([good.subarray(0, at), Buffer.from(noise), good.subarray(at)]) : Buffer.from(noise);
    try {
      const reader = new ClientHelloReader();
      reader.read(bytes, bytes.length);
    } catch (error) {
      assert.ok(error instanceof ProxyError && error.code === "tls_handshake_failed", String(error));
    }
  });
  fc.assert(cut, fuzzParameters(2000));
});
