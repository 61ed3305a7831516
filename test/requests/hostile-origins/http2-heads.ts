// Broken heads, bodies and trailers of responses over HTTP/2: errors of one stream (RFC 9113 section 8.1.1), so that the connection and what
// else it carries go on.

import { CODE, FLAG, block, bytes, data, headers, padded, rstStream, windowUpdate } from "../../support/frames.ts";
import { BROKEN, CUT, MALFORMED, whole as wholeBody } from "./hostile-case.ts";
import { OPEN, fields, malformed, repeat, whole, type Http2Case } from "./http2-case.ts";

const RESET = { kind: "error", codes: ["upstream_reset"] } as const;
const OK = [":status", "200"] as const;

export const HTTP2_HEADS: readonly Http2Case[] = [
  malformed("no :status", ["content-type", "text/plain"]),
  { title: "an empty header block", sends: whole([]), sees: MALFORMED, breaks: "stream" },
  ...["", "99", "099", "101", "abc", "2000", "20", "200 ", "+200", "2e2", "600", "000", "200 OK"].map((status) =>
    malformed(`:status ${JSON.stringify(status)}`, [":status", status]),
  ),
  malformed(":status twice", OK, OK),
  malformed("two different :status", OK, [":status", "404"]),
  malformed(":status behind a field", ["x-a", "1"], OK),
  malformed("a second :status behind a field", OK, ["x-a", "1"], [":status", "404"]),
  ...[":path", ":method", ":authority", ":scheme", ":protocol", ":unknown", ":"].map((name) =>
    malformed(`the field ${name}`, OK, [name, "/"]),
  ),
  ...["X-Upper", "x upper", "x\r\ny", "x\0y", "x:y", "", "x\x7f", "x\xe9"].map((name) =>
    malformed(`a field named ${JSON.stringify(name)}`, OK, [name, "1"]),
  ),
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map((name) =>
    malformed(`the field ${name} of HTTP/1.1`, OK, [name, name === "transfer-encoding" ? "chunked" : "x"]),
  ),
  ...["a\rb", "a\nb", "a\0b", "a\r\nSTOLEN: 1", " a", "a ", "\ta"].map((value) =>
    malformed(`the value ${JSON.stringify(value)}`, OK, ["x-a", value]),
  ),
  ...["x", "", "-1", "+6", "6,6", "6 6", "0x6", "6.0", "99999999999999999999"].map((length) =>
    malformed(`content-length ${JSON.stringify(length)}`, OK, ["content-length", length]),
  ),
  malformed("content-length twice", OK, ["content-length", "6"], ["content-length", "6"]),
  malformed("more fields than there may be", OK, ...Array.from({ length: 2000 }, () => ["a", ""] as const)),
  {
    title: "a content-length that nothing follows",
    sends: (s) => headers(s, fields(["content-length", "6"])),
    sees: MALFORMED,
    breaks: "stream",
  },
];

export const HTTP2_BODIES: readonly Http2Case[] = [
  {
    title: "a content-length that is too long",
    sends: (s) => bytes(headers(s, fields(["content-length", "6"]), OPEN), data(s, "hello")),
    sees: CUT,
    breaks: "stream",
  },
  {
    title: "a content-length that is too short",
    sends: (s) => bytes(headers(s, fields(["content-length", "4"]), OPEN), data(s, "STOLEN")),
    sees: CUT,
    breaks: "stream",
  },
  {
    title: "a body in two frames, the second of them too much",
    sends: (s) => bytes(headers(s, fields(["content-length", "6"]), OPEN), data(s, "hello", 0), data(s, "STOLEN")),
    sees: CUT,
    breaks: "stream",
  },
  { title: "DATA before the head", sends: (s) => data(s, "STOLEN"), sees: MALFORMED, breaks: "stream" },
  {
    title: "empty DATA before the head",
    sends: (s) => bytes(data(s, "", 0), headers(s, fields(), OPEN), data(s, "STOLEN")),
    sees: MALFORMED,
    breaks: "stream",
  },
  { title: "END_STREAM without a head", sends: (s) => data(s, ""), sees: MALFORMED, breaks: "stream" },
  {
    title: "DATA behind the end",
    sends: (s) => bytes(headers(s, fields(), OPEN), data(s, "hello"), data(s, "STOLEN")),
    sees: wholeBody("hello"),
    breaks: "stream",
  },
  {
    title: "a second response behind the end",
    sends: (s) => bytes(headers(s, fields(), OPEN), data(s, "hello"), headers(s, fields(), OPEN), data(s, "STOLEN")),
    sees: wholeBody("hello"),
    breaks: "stream",
  },
  {
    title: "RST_STREAM behind the end",
    sends: (s) => bytes(headers(s, fields(), OPEN), data(s, "hello"), rstStream(s, CODE.noError)),
    sees: wholeBody("hello"),
    breaks: "stream",
  },
  {
    title: "WINDOW_UPDATE behind the end",
    sends: (s) => bytes(headers(s, fields(), OPEN), data(s, "hello"), windowUpdate(s, 1)),
    sees: wholeBody("hello"),
    breaks: "stream",
  },
  {
    title: "a body for HEAD",
    method: "HEAD",
    sends: (s) => bytes(headers(s, fields(["content-length", "6"]), OPEN), data(s, "STOLEN")),
    sees: BROKEN,
    breaks: "stream",
  },
  ...["204", "304"].map((status): Http2Case => ({
    title: `a body for ${status}`,
    sends: (s) => bytes(headers(s, block([[":status", status]]), OPEN), data(s, "STOLEN")),
    sees: BROKEN,
    breaks: "stream",
  })),
  {
    title: "a body for content-length 0",
    sends: (s) => bytes(headers(s, fields(["content-length", "0"]), OPEN), data(s, "STOLEN")),
    sees: BROKEN,
    breaks: "stream",
  },
  {
    title: "a padded body",
    sends: (s) => bytes(headers(s, fields(["content-length", "5"]), OPEN), data(s, padded("hello", 200), FLAG.padded | FLAG.endStream)),
    sees: wholeBody("hello"),
    breaks: "stream",
  },
  {
    title: "more of a body than the window of the stream",
    sends: (s) => bytes(headers(s, fields(), OPEN), repeat(40, data(s, Buffer.alloc(16_000), 0)), data(s, "STOLEN")),
    method: "HEAD",
    sees: BROKEN,
    breaks: "stream",
  },
];

export const HTTP2_TRAILERS: readonly Http2Case[] = [
  {
    title: "trailers that do not end the stream",
    sends: (s) => bytes(headers(s, fields(), OPEN), data(s, "hello", 0), headers(s, block([["x-sum", "1"]]), OPEN), data(s, "STOLEN")),
    sees: CUT,
    breaks: "stream",
  },
  ...(
    [
      [":status", "200"],
      [":path", "/"],
      ["X-Sum", "1"],
      ["x-sum", "a\r\nb"],
      ["connection", "close"],
      ["transfer-encoding", "chunked"],
    ] as const
  ).map((field): Http2Case => ({
    title: `the trailer ${JSON.stringify(field.join(": "))}`,
    sends: (s) => bytes(headers(s, fields(), OPEN), data(s, "hello", 0), headers(s, block([field]))),
    sees: CUT,
    breaks: "stream",
  })),
  {
    title: "trailers in place of the rest of a body",
    sends: (s) => bytes(headers(s, fields(["content-length", "9"]), OPEN), data(s, "hello", 0), headers(s, block([["x-sum", "1"]]))),
    sees: CUT,
    breaks: "stream",
  },
  {
    title: "trailers that may not be any",
    sends: (s) =>
      bytes(
        headers(s, fields(), OPEN),
        data(s, "hello", 0),
        headers(
          s,
          block([
            ["content-length", "9"],
            ["set-cookie", "STOLEN"],
          ]),
        ),
      ),
    sees: wholeBody("hello"),
    breaks: "stream",
  },
  {
    title: "an empty block of trailers",
    sends: (s) => bytes(headers(s, fields(), OPEN), data(s, "hello", 0), headers(s, "")),
    sees: wholeBody("hello"),
    breaks: "stream",
  },
];

export const HTTP2_INTERIM: readonly Http2Case[] = [
  {
    title: "an interim response that ends the stream",
    sends: (s) => headers(s, block([[":status", "103"]])),
    sees: MALFORMED,
    breaks: "stream",
  },
  {
    title: "a body behind an interim response",
    sends: (s) => bytes(headers(s, block([[":status", "103"]]), OPEN), data(s, "STOLEN")),
    sees: MALFORMED,
    breaks: "stream",
  },
  {
    title: "a flood of interim responses",
    sends: (s) => bytes(repeat(200, headers(s, block([[":status", "103"]]), OPEN)), headers(s, fields(), OPEN), data(s, "STOLEN")),
    sees: MALFORMED,
    breaks: "stream",
  },
  {
    title: "an interim response with a length",
    sends: (s) =>
      bytes(
        headers(
          s,
          block([
            [":status", "103"],
            ["content-length", "6"],
          ]),
          OPEN,
        ),
        headers(s, fields(), OPEN),
        data(s, "hello"),
      ),
    sees: wholeBody("hello"),
    interims: 1,
    breaks: "stream",
  },
  {
    title: "an interim response behind the final one",
    sends: (s) => bytes(headers(s, fields(), OPEN), headers(s, block([[":status", "103"]]), OPEN), data(s, "STOLEN")),
    sees: CUT,
    breaks: "stream",
  },
];

export const HTTP2_RESETS: readonly Http2Case[] = [
  ...Object.entries(CODE)
    .filter(([name]) => name !== "refusedStream")
    .map(([name, code]): Http2Case => ({
      title: `RST_STREAM with ${name} for an answer`,
      sends: (s) => rstStream(s, code),
      sees: RESET,
      breaks: "stream",
    })),
  { title: "RST_STREAM with an unknown code", sends: (s) => rstStream(s, 0xffff_ffff), sees: RESET, breaks: "stream" },
  { title: "REFUSED_STREAM again and again", sends: (s) => rstStream(s, CODE.refusedStream), sees: RESET, breaks: "stream" },
  {
    title: "RST_STREAM behind an interim response",
    sends: (s) => bytes(headers(s, block([[":status", "103"]]), OPEN), rstStream(s, CODE.noError)),
    sees: RESET,
    breaks: "stream",
  },
  ...(["noError", "refusedStream", "cancel"] as const).flatMap((name): Http2Case[] => [
    {
      title: `RST_STREAM with ${name} behind the head`,
      sends: (s) => bytes(headers(s, fields(), OPEN), rstStream(s, CODE[name])),
      sees: CUT,
      breaks: "stream",
    },
    {
      title: `RST_STREAM with ${name} in the middle of the body`,
      sends: (s) => bytes(headers(s, fields(["content-length", "9"]), OPEN), data(s, "hello", 0), rstStream(s, CODE[name])),
      sees: CUT,
      breaks: "stream",
    },
  ]),
  { title: "WINDOW_UPDATE by nothing", sends: (s) => windowUpdate(s, 0), sees: MALFORMED, breaks: "stream" },
  { title: "a window of the stream that overflows", sends: (s) => windowUpdate(s, 0x7fff_ffff), sees: MALFORMED, breaks: "stream" },
];
