// WebSocket over HTTP/2 (RFC 8441): an extended CONNECT becomes an Upgrade at the machine, and DATA passes both ways as it is.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { constants, type ClientHttp2Stream, type OutgoingHttpHeaders } from "node:http2";
import { after, describe, test } from "node:test";
import { startEdge } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { Http2Client, responseOf } from "../support/http2-client.ts";
import type { Message } from "../support/message.ts";
import type { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

const CONNECT: OutgoingHttpHeaders = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/chat?room=1" };
const LARGE_BYTES = 4 * 1024 * 1024;

const edge = await startEdge();
const client = await Http2Client.connect(edge.test);
if (!("enableConnectProtocol" in client.session.remoteSettings)) await once(client.session, "remoteSettings");
after(async () => {
  client[Symbol.dispose]();
  await edge[Symbol.asyncDispose]();
});

function accepted(request: Message): string {
  return createHash("sha1")
    .update(`${request.header("sec-websocket-key")}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
}

function switched(request: Message, accept = accepted(request)): string {
  return `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
}

/** Both ends of a tunnel. */
async function tunnel(
  headers: OutgoingHttpHeaders = {},
): Promise<{ stream: ClientHttp2Stream; machine: RawClient; head: OutgoingHttpHeaders }> {
  await edge.backend.answers((request, connection) => {
    connection.send(switched(request));
    return null;
  });
  const stream = client.open({ ...CONNECT, ...headers }, false);
  const [head] = (await once(stream, "response")) as [OutgoingHttpHeaders];
  return { stream, machine: await edge.backend.connection(), head };
}

/** Everything that comes on a stream from now on. */
function collect(stream: ClientHttp2Stream): () => Buffer {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks);
}

test("the machine gets an Upgrade with a key of the edge's own, and the client 200 without the fields of an upgrade", async () => {
  const { stream, head } = await tunnel({ "sec-websocket-protocol": "chat", "sec-websocket-key": "forged", "sec-websocket-version": "13" });
  const request = await edge.backend.request();
  assert.equal(request.startLine, "GET /chat?room=1 HTTP/1.1");
  assert.equal(request.header("connection"), "upgrade");
  assert.equal(request.header("upgrade"), "websocket");
  assert.equal(request.header("sec-websocket-protocol"), "chat");
  assert.equal(request.header("sec-websocket-version"), "13");
  assert.equal(Buffer.from(request.header("sec-websocket-key")!, "base64").length, 16);
  assert.equal(request.framing, "none");
  assert.equal(head[":status"], 200);
  for (const name of ["connection", "upgrade", "sec-websocket-accept", "content-length"]) assert.equal(head[name], undefined, name);
  stream.close();
  await edge.untilReleased();
});

test("bytes pass both ways, and the tunnel counts as one request as long as it is open", async () => {
  const { stream, machine } = await tunnel();
  const got = collect(stream);
  stream.write("to the machine");
  await machine.until((text) => text.endsWith("to the machine"));
  machine.send("to the client");
  await eventually(() => got().toString() === "to the client", "the machine's bytes");
  assert.equal(edge.inFlight, 1);
  stream.close();
  await edge.untilReleased();
});

test("large messages pass unchanged both ways at the same time", async () => {
  const { stream, machine } = await tunnel();
  const got = collect(stream);
  const [up, down] = [randomBytes(LARGE_BYTES), randomBytes(LARGE_BYTES)];
  const before = machine.received.length;
  stream.write(up);
  machine.send(down);
  await machine.until((text) => text.length >= before + LARGE_BYTES);
  await eventually(() => got().length >= LARGE_BYTES, "everything from the machine");
  assert.equal(sum(Buffer.from(machine.received.slice(before), "latin1")), sum(up));
  assert.equal(sum(got()), sum(down));
  stream.close();
  await edge.untilReleased();
});

describe("either side may end first, and the other goes on:", () => {
  test("the client", async () => {
    const { stream, machine } = await tunnel();
    const got = collect(stream);
    stream.end("last words");
    await machine.untilEnd();
    assert.ok(machine.received.endsWith("last words"));
    machine.send("and an answer").end();
    await once(stream, "close");
    assert.equal(got().toString(), "and an answer");
    assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR);
    await edge.untilReleased();
  });

  test("the machine", async () => {
    const { stream, machine } = await tunnel();
    const got = collect(stream);
    machine.send("last words").end();
    await once(stream, "end");
    assert.equal(got().toString(), "last words");
    stream.end("and an answer");
    await machine.untilEnd();
    assert.ok(machine.received.endsWith("and an answer"));
    await edge.untilReleased();
  });

  test("the client, in the same frame as its request", async () => {
    await edge.backend.answers((request, connection) => {
      connection.send(switched(request));
      return null;
    });
    const stream = client.open(CONNECT, true);
    await once(stream, "response");
    const machine = await edge.backend.connection();
    await machine.untilEnd();
    machine.send("nobody there?").end();
    const got = collect(stream);
    await once(stream, "close");
    assert.equal(got().toString(), "nobody there?");
    await edge.untilReleased();
  });
});

test("a client that resets the stream takes the machine's end with it", async () => {
  const { stream, machine } = await tunnel();
  stream.close(constants.NGHTTP2_CANCEL);
  await machine.untilEnd();
  await edge.untilReleased();
});

test("a machine that resets its connection resets the stream", async () => {
  const { stream, machine } = await tunnel();
  machine.reset();
  await once(stream, "close");
  assert.equal(stream.rstCode, constants.NGHTTP2_CANCEL);
  await edge.untilReleased();
});

test("what a client sends before the machine has agreed is held", async () => {
  await edge.backend.answers(() => null);
  const stream = client.open(CONNECT, false);
  stream.write("early");
  const request = await edge.backend.request();
  stream.write(" bird");
  const machine = await edge.backend.connection();
  await edge.test.settle();
  assert.equal(machine.rest, "");
  machine.send(switched(request));
  await machine.until((text) => text.endsWith("early bird"));
  stream.close();
  await edge.untilReleased();
});

test("a 101 that proves nothing opens nothing", async () => {
  await edge.backend.answers((request, connection) => {
    connection.send(`${switched(request, "bm90IHdoYXQgd2FzIGFza2Vk")}secret`);
    return null;
  });
  const { status, headers, body } = await responseOf(client.open(CONNECT, true));
  assert.equal(status, 502);
  assert.equal(headers["kittiwake-error"], "bad_response");
  assert.equal(body.includes("secret"), false);
  await edge.untilReleased();
});

test("a machine that ignores the upgrade does not pass for one that opened the tunnel", async () => {
  await edge.backend.answers(() => response("a page"));
  const { status, headers } = await responseOf(client.open(CONNECT, true));
  assert.equal(status, 502);
  assert.equal(headers["kittiwake-error"], "bad_response");
  await edge.untilReleased();
});

test("a machine's refusal is passed on", async () => {
  await edge.backend.answers(() => response("members only", [], "403 Forbidden"));
  const { status, body } = await responseOf(client.open(CONNECT, true));
  assert.equal(status, 403);
  assert.equal(body, "members only");
  await edge.untilReleased();
});

test("any other protocol is not implemented", async () => {
  const { status, headers } = await responseOf(client.open({ ...CONNECT, ":protocol": "connect-udp" }, true));
  assert.equal(status, 501);
  assert.equal(headers["kittiwake-error"], "protocol_not_supported");
});

test("a CONNECT without a protocol is refused", async () => {
  const { status, headers } = await responseOf(client.open({ ":method": "CONNECT" }, true));
  assert.equal(status, 405);
  assert.equal(headers["kittiwake-error"], "method_not_allowed");
});

function sum(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
