// Requests and responses as HTTP/2 expresses them: fields, pseudo-header fields, bodies, trailers. RFC 9113 sections 8.1 to 8.4, and 8.6.

import assert from "node:assert/strict";
import { HOST } from "../../support/edge.ts";
import { block, CODE, data, FLAG, headers, literal, bytes, TYPE, type Field } from "../../support/frames.ts";
import type { FrameClient } from "../../support/frame-client.ts";
import { answered, ask, eitherError, malformed, request, type Chapter, type ConformanceCase } from "./suite.ts";

const OPEN = FLAG.endHeaders;
const POST = request({ ":method": "POST" });

/** A request that is malformed by its head alone. */
function refused(title: string, section: string, fields: readonly Field[]): ConformanceCase {
  return {
    title: `${title} is malformed`,
    section: `RFC 9113 ${section}`,
    send: (client) => void client.send(headers(1, block(fields))),
    expected: malformed(),
    isKeptBack: true,
  };
}

function accepted(title: string, section: string, fields: readonly Field[]): ConformanceCase {
  return { title, section: `RFC 9113 ${section}`, send: (client) => void client.send(headers(1, block(fields))), expected: answered() };
}

/** A request whose trailers are malformed. */
function refusedTrailers(title: string, section: string, fields: readonly Field[]): ConformanceCase {
  return {
    title: `${title} in trailers is malformed`,
    section: `RFC 9113 ${section}`,
    send: (client) => void client.send(headers(1, block(POST), OPEN), data(1, "hello", 0), headers(1, block(fields))),
    expected: malformed(),
    isKeptBack: true,
  };
}

const NAMES: readonly ConformanceCase[] = [
  ...Object.entries({
    "a name in capitals": "X-A",
    "a name with one capital": "x-A",
    "an empty name": "",
    "a name with a space": "x a",
    "a name with a space behind it": "x-a ",
    "a name with a tab": "x\ta",
    "a name with a NUL": "x\0a",
    "a name with a line break": "x\r\na",
    "a name with a control byte": "x\x1fa",
    "a name with a DEL": "x\x7fa",
    "a name with a byte above 127": "x\x80a",
    "a name with the last of all bytes": "x\xff",
    "a name with a colon": "x:a",
    "a name with a colon behind it": "x-a:",
  }).flatMap(([title, name]) => [refused(title, "8.2.1", request({}, [name, "1"])), refusedTrailers(title, "8.2.1", [[name, "1"]])]),
  refused("a name with brackets, which is no token,", "8.2.1", request({}, ["x(a)", "1"])),
  refused("a name with quotes, which is no token,", "8.2.1", request({}, ['"x"', "1"])),
  accepted("a name may hold every byte of a token", "8.2.1", request({}, ["x-!#$%&'*+.^`|~09az", "1"])),
];

const VALUES: readonly ConformanceCase[] = [
  ...Object.entries({
    "a value with a NUL": "a\0b",
    "a value with a carriage return": "a\rb",
    "a value with a line feed": "a\nb",
    "a value with a header behind a line break": "a\r\nx-b: 1",
    "a value with a space before it": " a",
    "a value with a space behind it": "a ",
    "a value with a tab before it": "\ta",
    "a value with a tab behind it": "a\t",
    "a value of a space": " ",
  }).flatMap(([title, value]) => [refused(title, "8.2.1", request({}, ["x-a", value])), refusedTrailers(title, "8.2.1", [["x-a", value]])]),
  accepted("a value may be empty", "8.2.1", request({}, ["x-a", ""])),
  accepted("a value may have spaces and tabs in it", "8.2.1", request({}, ["x-a", "a \t b"])),
  accepted("a value may have bytes above 127 in it", "8.2.1", request({}, ["x-a", "\x80\xff"])),
];

const CONNECTION_FIELDS: readonly ConformanceCase[] = [
  ...(
    [
      ["connection", "close"],
      ["connection", "keep-alive, x-a"],
      ["connection", ""],
      ["proxy-connection", "keep-alive"],
      ["keep-alive", "timeout=5"],
      ["transfer-encoding", "chunked"],
      ["transfer-encoding", "identity"],
      ["upgrade", "websocket"],
      ["upgrade", "h2c"],
      ["te", "gzip"],
      ["te", "trailers, gzip"],
      ["te", "chunked"],
    ] as const
  ).map(([name, value]) => refused(`${name}: ${value}`, "8.2.2", request({}, [name, value]))),
  refusedTrailers("connection: close", "8.2.2", [["connection", "close"]]),
  refusedTrailers("transfer-encoding: chunked", "8.2.2", [["transfer-encoding", "chunked"]]),
  accepted("te: trailers is allowed", "8.2.2", request({}, ["te", "trailers"])),
];

const PSEUDO: readonly ConformanceCase[] = [
  refused("a pseudo-header field that nobody knows", "8.3", request({ ":test": "1" })),
  refused("a pseudo-header field without a name", "8.3", request({ ":": "1" })),
  refused("a pseudo-header field in capitals", "8.3", request({ ":Path": "/" })),
  refused(":status", "8.3", request({ ":status": "200" })),
  refused(":protocol without CONNECT", "8.3", request({ ":protocol": "websocket" })),
  refused(":path behind a field", "8.3", [...request({ ":path": null }), ["x-a", "1"], [":path", "/"]]),
  refused(":method behind a field", "8.3", [...request({ ":method": null }), ["x-a", "1"], [":method", "GET"]]),
  refused(":authority behind a field", "8.3", [...request({ ":authority": null }), ["x-a", "1"], [":authority", HOST]]),
  ...[":method", ":scheme", ":authority", ":path"].map((name) =>
    refused(`${name} twice`, "8.3.1", [...request(), request().find(([known]) => known === name)!]),
  ),
  refused("two different :path", "8.3.1", [...request(), [":path", "/other"]]),
  refused("no :method", "8.3.1", request({ ":method": null })),
  refused("no :scheme", "8.3.1", request({ ":scheme": null })),
  refused("no :path", "8.3.1", request({ ":path": null })),
  refused("nothing at all", "8.3.1", []),
  refused("only fields, and no pseudo-header field,", "8.3.1", [["host", HOST]]),
  refused("an empty :path", "8.3.1", request({ ":path": "" })),
  refused("an empty :method", "8.3.1", request({ ":method": "" })),
  refused("an empty :scheme", "8.3.1", request({ ":scheme": "" })),
  refused("a :path without a slash", "8.3.1", request({ ":path": "index.html" })),
  refused("a :path that is a URL", "8.3.1", request({ ":path": `https://${HOST}/` })),
  refused("an asterisk for anything but OPTIONS", "8.3.1", request({ ":path": "*" })),
  refused("a :path with a space", "8.3.1", request({ ":path": "/a b" })),
  refused("a :path with a second request line", "8.3.1", request({ ":path": "/ HTTP/1.1\r\nx-a: 1\r\n\r\nGET /stolen" })),
  refused("a :path with a NUL", "8.3.1", request({ ":path": "/\0" })),
  refused("a :path with a tab", "8.3.1", request({ ":path": "/\ta" })),
  refused("a :path with a DEL", "8.3.1", request({ ":path": "/\x7f" })),
  refused("a :path with a byte above 127", "8.3.1", request({ ":path": "/\xe9" })),
  refused("a :path with a fragment", "8.3.1", request({ ":path": "/#x" })),
  refused("a :method with a space", "8.3.1", request({ ":method": "GET /stolen" })),
  refused("a :method with a line break", "8.3.1", request({ ":method": "GET\r\n" })),
  refused("a :method that is no token", "8.3.1", request({ ":method": "GE(T" })),
  refused("a :scheme with a space", "8.3.1", request({ ":scheme": "http s" })),
  refused("an :authority with user information", "8.3.1", request({ ":authority": `user@${HOST}` })),
  refused("an :authority with a path", "8.3.1", request({ ":authority": `${HOST}/x` })),
  refused("an :authority with a space", "8.3.1", request({ ":authority": `${HOST} x` })),
  refused("an :authority with a line break", "8.3.1", request({ ":authority": `${HOST}\r\nx-a: 1` })),
  refused("an :authority with a port that is none", "8.3.1", request({ ":authority": `${HOST}:http` })),
  refused("an empty :authority", "8.3.1", request({ ":authority": "" })),
  refused("neither :authority nor Host", "8.3.1", request({ ":authority": null })),
  refused("a Host unlike :authority", "8.3.1", request({}, ["host", "other.localhost"])),
  refused("a Host unlike :authority by its port", "8.3.1", request({}, ["host", `${HOST}:8443`])),
  refused("an empty Host besides :authority", "8.3.1", request({}, ["host", ""])),
  refused("two Hosts", "8.3.1", request({}, ["host", HOST], ["host", "other.localhost"])),
  refused("two Hosts without :authority", "8.3.1", request({ ":authority": null }, ["host", HOST], ["host", HOST])),
  refusedTrailers("a pseudo-header field", "8.1", [[":path", "/"]]),
  refusedTrailers(":status", "8.1", [[":status", "200"]]),
  refusedTrailers("a pseudo-header field that nobody knows", "8.1", [[":test", "1"]]),
  accepted("a Host like :authority is allowed", "8.3.1", request({}, ["host", HOST])),
  accepted("a Host without :authority is allowed", "8.3.1", request({ ":authority": null }, ["host", HOST])),
  accepted("the pseudo-header fields may come in any order", "8.3", request().toReversed()),
  accepted("an asterisk is allowed for OPTIONS", "8.3.1", request({ ":method": "OPTIONS", ":path": "*" })),
  accepted("a query is part of :path", "8.3.1", request({ ":path": "/a?b=c&d=%20" })),
  accepted("a method may be one that nobody knows", "8.3.1", request({ ":method": "BREW" })),
];

/** A request with a Content-Length and this body. */
function withLength(title: string, length: string | readonly string[], parts: readonly string[], isRight: boolean): ConformanceCase {
  const lengths = (typeof length === "string" ? [length] : length).map((value) => ["content-length", value] as const);
  return {
    title,
    section: "RFC 9113 8.1.1",
    send: (client) => {
      // In one piece: a request that is whole already may be on its way before more of it comes.
      const head = headers(1, block([...POST, ...lengths]), parts.length === 0 ? undefined : OPEN);
      client.send(head, ...parts.map((part, i) => data(1, part, i === parts.length - 1 ? FLAG.endStream : 0)));
    },
    expected: isRight ? answered() : malformed(),
    isKeptBack: !isRight,
  };
}

const LENGTHS: readonly ConformanceCase[] = [
  withLength("a body of the length that was said is taken", "10", ["hello", "world"], true),
  withLength("a body may be said to be empty, and be so", "0", [""], true),
  withLength("no body may be said to be empty", "0", [], true),
  withLength("a body longer than its length is malformed", "5", ["hello!"], false),
  withLength("a body longer than its length in the second frame is malformed", "5", ["hello", "!"], false),
  withLength("a body shorter than its length is malformed", "6", ["hello"], false),
  withLength("a body shorter than its length in the second frame is malformed", "11", ["hello", "world"], false),
  withLength("a length of a body that never comes is malformed", "5", [], false),
  withLength("an empty body of a length is malformed", "5", [""], false),
  withLength("a body where the length is 0 is malformed", "0", ["x"], false),
  withLength("a length that is no number is malformed", "five", ["hello"], false),
  withLength("a negative length is malformed", "-5", ["hello"], false),
  withLength("a length with a sign is malformed", "+5", ["hello"], false),
  withLength("an empty length is malformed", "", ["hello"], false),
  withLength("a list of lengths is malformed", "5, 5", ["hello"], false),
  withLength("a length beyond all numbers is malformed", "9".repeat(30), ["hello"], false),
  withLength("two different lengths are malformed", ["5", "6"], ["hello"], false),
  {
    section: "RFC 9113 8.1.1",
    title: "a length that trailers make wrong is malformed",
    send: (client) =>
      void client.send(headers(1, block([...POST, ["content-length", "9"]]), OPEN), data(1, "hello", 0), headers(1, block([["x-a", "1"]]))),
    expected: malformed(),
    isKeptBack: true,
  },
];

/** How the machine sees what a client sends. */
function seen(title: string, section: string, send: (client: FrameClient) => void, expected: RegExp): ConformanceCase {
  return {
    title,
    section: `RFC 9113 ${section}`,
    send: async (client) => {
      send(client);
      assert.match((await client.untilOver(1)).body.toString("latin1"), expected);
    },
    expected: answered(),
    isOurs: true,
  };
}

const EXCHANGES: readonly ConformanceCase[] = [
  seen("a request without a body reaches the machine as one", "8.1", (client) => void client.send(ask(1, "/a?b")), /^GET \/a\?b 0$/),
  seen(
    "a body in many frames is one body",
    "8.1",
    (client) => void client.send(ask(1, "/", OPEN), ...[..."hello"].map((byte) => data(1, byte, 0)), data(1, "")),
    /^POST \/ 5$/,
  ),
  seen(
    "cookies in several fields become one",
    "8.2.3",
    (client) => void client.send(headers(1, block(request({}, ["cookie", "a=1"], ["x-a", "1"], ["cookie", "b=2"], ["cookie", "c=3"])))),
    /^cookie=a=1; b=2; c=3$/m,
  ),
  seen(
    "fields keep their order and their number",
    "8.2",
    (client) => void client.send(headers(1, block(request({}, ["x-t-a", "1"], ["x-t-b", "2"], ["x-t-a", "3"])))),
    /x-t-a=1\nx-t-b=2\nx-t-a=3$/,
  ),
  seen(
    "a request may end with trailers",
    "8.1",
    (client) => void client.send(ask(1, "/", OPEN), data(1, "hello", 0), headers(1, block([["x-sum", "1"]]))),
    /^POST \/ 5$/,
  ),
  seen(
    "a request may have trailers and no body",
    "8.1",
    (client) => void client.send(ask(1, "/", OPEN), headers(1, block([["x-sum", "1"]]))),
    /^POST \/ 0$/,
  ),
  {
    section: "RFC 9113 8.1",
    title: "trailers that do not end the stream are malformed",
    send: (client) => void client.send(ask(1, "/", OPEN), data(1, "hello", 0), headers(1, block([["x-sum", "1"]]), OPEN)),
    expected: malformed(),
    isKeptBack: true,
  },
  {
    section: "RFC 9113 8.1",
    title: "trailers behind trailers are an error",
    send: (client) => void client.send(ask(1, "/hold", OPEN), headers(1, block([["x-sum", "1"]])), headers(1, block([["x-sum", "2"]]))),
    expected: eitherError(1, CODE.streamClosed, CODE.protocolError),
  },
  {
    section: "RFC 9113 8.1",
    title: "a response has its head, its body and its end",
    send: async (client) => {
      client.send(ask(1, "/bytes/100"));
      const { fields, body, trailers } = await client.untilOver(1);
      assert.equal(fields!.find(([name]) => name === "content-length")?.[1], "100");
      assert.deepEqual([body.length, trailers], [100, null]);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 8.1",
    title: "a response to HEAD has the length of what there would be, and nothing of it",
    send: async (client) => {
      client.send(headers(1, block(request({ ":method": "HEAD", ":path": "/bytes/100" }))));
      const { fields } = await client.untilOver(1);
      assert.equal(fields!.find(([name]) => name === "content-length")?.[1], "100");
      assert.equal(
        client.ofType(TYPE.data).reduce((sum, { payload }) => sum + payload.length, 0),
        0,
      );
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 8.1",
    title: "204 has no body",
    send: async (client) => {
      client.send(ask(1, "/no-content"));
      assert.equal((await client.untilOver(1)).body.length, 0);
    },
    expected: answered(1, 204),
    isOurs: true,
  },
  {
    section: "RFC 9113 8.1",
    title: "an interim response comes before the final one, and does not end the stream",
    send: async (client) => {
      client.send(ask(1, "/early-hints"));
      const { interims, body } = await client.untilOver(1);
      assert.deepEqual(
        interims.map((fields) => fields.slice(0, 2)),
        [
          [
            [":status", "103"],
            ["link", "</a>"],
          ],
        ],
      );
      assert.equal(body.toString(), "page");
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 8.1",
    title: "trailers of a machine reach the client behind the body",
    send: async (client) => {
      client.send(headers(1, block(request({ ":path": "/trailers" }, ["te", "trailers"]))));
      const { body, trailers } = await client.untilOver(1);
      assert.deepEqual([body.toString(), trailers], ["hello", [["x-sum", "1"]]]);
    },
    expected: answered(),
    isOurs: true,
  },
  {
    section: "RFC 9113 8.4",
    title: "nothing is pushed, whether the client would take it or not",
    options: { settings: [[2, 1]] },
    send: async (client) => {
      client.send(ask(1));
      await client.untilOver(1);
      assert.equal(client.ofType(TYPE.pushPromise).length, 0);
    },
    expected: answered(),
  },
  {
    section: "RFC 9113 8.1",
    title: "many requests at once get each its own response",
    send: async (client) => {
      const streams = Array.from({ length: 50 }, (_, i) => 1 + i * 2);
      client.send(...streams.map((stream) => ask(stream, `/own/${stream}`)));
      for (const stream of streams) assert.equal((await client.untilOver(stream)).body.toString(), `GET /own/${stream} 0`);
    },
    expected: { kind: "goes on" },
    isOurs: true,
  },
  {
    section: "RFC 9113 8.3.1",
    title: "a host that nobody serves gets 404 or 421, and the connection goes on",
    send: (client) => void client.send(headers(1, block(request({ ":authority": "nobody.localhost" })))),
    expected: answered(1, 404, 421),
    isKeptBack: true,
    isOurs: true,
  },
  {
    section: "RFC 9110 10.1.1",
    title: "100-continue is asked for end to end",
    send: async (client) => {
      client.send(
        headers(1, bytes(block(POST), literal("expect", "100-continue"), literal("content-length", "5")), OPEN),
        data(1, "hello"),
      );
      await client.untilOver(1);
    },
    expected: answered(),
  },
];

export const MESSAGES: Chapter = {
  title: "RFC 9113 section 8, messages:",
  cases: [...NAMES, ...VALUES, ...CONNECTION_FIELDS, ...PSEUDO, ...LENGTHS, ...EXCHANGES],
};
