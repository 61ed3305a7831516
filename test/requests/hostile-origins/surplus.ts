// Bytes that nobody asked for: behind a response, in the place of a body that there can not be, or while a connection rests.

import { CHUNKED, emptyWith, OK, STOLEN, whole, type HostileCase } from "./hostile-case.ts";

const FIRST = `${OK}content-length: 5\r\n\r\nfirst`;
const FIRST_CHUNKED = `${CHUNKED}5\r\nfirst\r\n0\r\n\r\n`;

/** Each is sent behind a whole response: in the same packet, and also in one of its own when the client has its response. */
const EXTRA: Readonly<Record<string, string>> = {
  "a second response": STOLEN,
  "a second chunked response": `${CHUNKED}6\r\nSTOLEN\r\n0\r\n\r\n`,
  "half a second response": STOLEN.slice(0, -3),
  "one byte": "x",
  "a line feed": "\n",
  "a line break": "\r\n",
  "a NUL": "\0",
  "a last chunk": "0\r\n\r\n",
  "an interim response": "HTTP/1.1 100 Continue\r\n\r\n",
  "a notice that it grew tired": "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n",
  "a switch of protocols": "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  "a request": "GET /STOLEN HTTP/1.1\r\nhost: hello.localhost\r\n\r\n",
  "a megabyte": "STOLEN".repeat(175_000),
};

/** Responses that have no body, whatever their head says (RFC 9112 section 6.3, rules 1 and 2). */
const BODYLESS: readonly HostileCase[] = [
  { title: "a body behind 204", sends: `HTTP/1.1 204 No Content\r\n\r\n${STOLEN}`, sees: whole("", 204) },
  { title: "a body behind 204 with a length", sends: "HTTP/1.1 204 No Content\r\ncontent-length: 6\r\n\r\nSTOLEN", sees: whole("", 204) },
  {
    title: "a body behind 204 with chunks",
    sends: "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n6\r\nSTOLEN\r\n0\r\n\r\n",
    sees: whole("", 204),
  },
  { title: "a body behind 304", sends: `HTTP/1.1 304 Not Modified\r\n\r\n${STOLEN}`, sees: whole("", 304) },
  { title: "a body behind 304 with a length", sends: "HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\nSTOLEN", sees: whole("", 304) },
  {
    title: "a body behind 304 with chunks",
    sends: "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n6\r\nSTOLEN\r\n0\r\n\r\n",
    sees: whole("", 304),
  },
  {
    title: "a length of 204, and nothing",
    sends: "HTTP/1.1 204 No Content\r\ncontent-length: 6\r\n\r\n",
    sees: whole("", 204),
    isReused: true,
  },
  {
    title: "a length of 304, and nothing",
    sends: "HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\n",
    sees: whole("", 304),
    isReused: true,
  },
  { title: "a body to HEAD", method: "HEAD", sends: `${OK}content-length: 6\r\n\r\nSTOLEN`, sees: whole("") },
  { title: "chunks to HEAD", method: "HEAD", sends: `${CHUNKED}6\r\nSTOLEN\r\n0\r\n\r\n`, sees: whole("") },
  { title: "a last chunk to HEAD", method: "HEAD", sends: `${CHUNKED}0\r\n\r\n`, sees: whole("") },
  { title: "a body without a length to HEAD", method: "HEAD", sends: `${OK}\r\nSTOLEN`, exit: "ends", sees: whole("") },
  { title: "a response behind the response to HEAD", method: "HEAD", sends: `${OK}content-length: 5\r\n\r\n${STOLEN}`, sees: whole("") },
  { title: "a head of chunks to HEAD, and nothing", method: "HEAD", sends: CHUNKED, sees: whole(""), isReused: true },
  { title: "a length to HEAD, and nothing", method: "HEAD", sends: `${OK}content-length: 999\r\n\r\n`, sees: whole(""), isReused: true },
  { title: "a body behind a length of 0", sends: emptyWith() + STOLEN, sees: whole("") },
  { title: "more bytes than the length says", sends: `${FIRST} STOLEN`, sees: whole("first") },
  { title: "more bytes than the length says, to POST", method: "POST", sends: `${FIRST} STOLEN`, sees: whole("first") },
  { title: "a second response to POST", method: "POST", sends: FIRST + STOLEN, sees: whole("first") },
  { title: "a hundred responses", sends: FIRST + STOLEN.repeat(100), sees: whole("first") },
  {
    title: "a second response that begins with the first one's last byte",
    sends: [FIRST.slice(0, -1), `t${STOLEN}`],
    sees: whole("first"),
  },
];

export const SURPLUS: readonly HostileCase[] = [
  ...BODYLESS,
  ...Object.entries(EXTRA).flatMap(([title, extra]) => [
    { title: `${title} behind a length`, sends: FIRST + extra, sees: whole("first") },
    { title: `${title} behind chunks`, sends: FIRST_CHUNKED + extra, sees: whole("first") },
    { title: `${title} while the connection rests`, sends: FIRST, late: extra, sees: whole("first") },
  ]),
  { title: "an end while the connection rests", sends: FIRST, late: "", exit: "ends", sees: whole("first") },
  { title: "a reset while the connection rests", sends: FIRST, late: "", exit: "resets", sees: whole("first") },
];
