// One request after another on a connection: pipelining, and whether it goes on. RFC 9112 section 9, RFC 9110 section 7.8.

import { HOST } from "../../support/edge.ts";
import { answered, error, head, ok, request, seen, type ByteExchange, type Topics } from "../../support/byte-exchanges.ts";

const LINE = `host: ${HOST}`;
const CLOSED = "connection: close";
const KEPT = "connection: keep-alive";

/** A request of this version with these lines, and whether the connection goes on behind it. */
function persists(title: string, version: "1.0" | "1.1", lines: readonly string[], goesOn: boolean): ByteExchange {
  const edgeOf = (text: string): string => (version === "1.0" ? text.replace("<edge>", "<edge: 1.0>") : text);
  const said = goesOn ? (version === "1.0" ? [KEPT] : []) : [CLOSED];
  return {
    title,
    send: head(`GET / HTTP/${version}`, LINE, ...lines),
    backendGets: edgeOf(seen("GET /")),
    clientGets: ok("GET /", ...said),
    afterwards: goesOn ? "open" : "closed",
  };
}

const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ";

export const CONNECTIONS: Topics = {
  "pipelined requests are answered in order:": [
    {
      title: "three in one piece",
      send: ["/1", "/2", "/3"].map((target) => request(`GET ${target}`)).join(""),
      backendGets: seen("GET /1") + seen("GET /2") + seen("GET /3"),
      clientGets: ok("GET /1") + ok("GET /2") + ok("GET /3"),
    },
    {
      title: "fifty",
      send: Array.from({ length: 50 }, (_, i) => request(`GET /${i}`)).join(""),
      backendGets: Array.from({ length: 50 }, (_, i) => seen(`GET /${i}`)).join(""),
      clientGets: Array.from({ length: 50 }, (_, i) => ok(`GET /${i}`)).join(""),
    },
    {
      title: "with bodies of all kinds between",
      send: `${request("POST /1", "content-length: 3")}abc${request("POST /2", "transfer-encoding: chunked")}1\r\nx\r\n0\r\na: b\r\n\r\n${request("GET /3")}${request("PUT /4", "content-length: 0")}`,
      backendGets: `${seen("POST /1", "content-length: 3")}abc${seen("POST /2", "transfer-encoding: chunked")}1\r\nx\r\n0\r\na: b\r\n\r\n${seen("GET /3")}${seen("PUT /4", "content-length: 0")}`,
      clientGets: ok("POST /1") + ok("POST /2") + ok("GET /3") + ok("PUT /4"),
    },
    {
      title: "HEAD between others",
      send: request("GET /1") + request("HEAD /2") + request("GET /3"),
      backendGets: seen("GET /1") + seen("HEAD /2") + seen("GET /3"),
      clientGets: ok("GET /1") + ok("HEAD /2") + ok("GET /3"),
    },
    {
      title: "one that the edge answers itself between others",
      send: request("GET /1") + head("GET /2 HTTP/1.1", "host: other.localhost") + request("GET /3"),
      backendGets: seen("GET /1") + seen("GET /3"),
      clientGets: `${ok("GET /1")}<404 unknown_host>${ok("GET /3")}`,
    },
    {
      title: "a malformed one ends it, and nothing behind it is read",
      send: `${request("GET /1")}GET /2 HTTP/1.1\r\nhost : x\r\n\r\n${request("GET /3")}`,
      backendGets: seen("GET /1"),
      clientGets: ok("GET /1") + error("bad_header"),
      afterwards: "closed",
    },
    {
      title: "one that asks for the end is the last, whatever follows",
      send: request("GET /1", CLOSED) + request("GET /2"),
      backendGets: seen("GET /1"),
      clientGets: ok("GET /1", CLOSED),
      afterwards: "closed",
    },
    {
      title: "what follows the last is not even read",
      send: `${request("GET /1", CLOSED)}\0\0\0`,
      backendGets: seen("GET /1"),
      clientGets: ok("GET /1", CLOSED),
      afterwards: "closed",
    },
    {
      title: "byte by byte",
      send: [...(request("GET /1") + request("POST /2", "content-length: 2") + "ab" + request("GET /3"))],
      backendGets: `${seen("GET /1")}${seen("POST /2", "content-length: 2")}ab${seen("GET /3")}`,
      clientGets: ok("GET /1") + ok("POST /2") + ok("GET /3"),
    },
  ],
  "HTTP/1.1 goes on": [
    persists("where nothing is said", "1.1", [], true),
    persists("with keep-alive", "1.1", [KEPT], true),
    persists("with an option that only contains close", "1.1", ["connection: closed"], true),
    persists("with close in another field", "1.1", ["proxy-connection: close"], true),
    persists("with an empty Connection", "1.1", ["connection:"], true),
  ],
  "HTTP/1.1 ends": [
    persists("with close", "1.1", [CLOSED], false),
    persists("with close in any case", "1.1", ["Connection: CLOSE"], false),
    persists("with close in a list", "1.1", ["connection: x-a , close"], false),
    persists("with close in a second field", "1.1", [KEPT, CLOSED], false),
    persists("with close and keep-alive", "1.1", ["connection: close, keep-alive"], false),
    persists("with keep-alive and close", "1.1", ["connection: keep-alive,close"], false),
  ],
  "HTTP/1.0 ends": [
    persists("where nothing is said", "1.0", [], false),
    persists("with close", "1.0", [CLOSED], false),
    persists("with close and keep-alive", "1.0", ["connection: keep-alive, close"], false),
    persists("with keep-alive in another field", "1.0", ["proxy-connection: keep-alive"], false),
  ],
  "HTTP/1.0 goes on": [
    persists("with keep-alive", "1.0", [KEPT], true),
    persists("with keep-alive in any case", "1.0", ["Connection: Keep-Alive"], true),
    {
      title: "after HEAD, too",
      send: head("HEAD / HTTP/1.0", LINE, KEPT),
      backendGets: seen("HEAD /").replace("<edge>", "<edge: 1.0>"),
      clientGets: ok("HEAD /", KEPT),
    },
    {
      title: "after a response of the edge's own",
      send: head("GET / HTTP/1.0", "host: other.localhost", KEPT),
      backendGets: "",
      clientGets: "<404 unknown_host, kept>",
    },
    {
      title: "but not behind a response without a length",
      send: head("GET / HTTP/1.0", LINE, KEPT),
      answers: ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-a: 1\r\n\r\n"],
      backendGets: seen("GET /").replace("<edge>", "<edge: 1.0>"),
      clientGets: answered("200 OK", [], [CLOSED], "ab"),
      afterwards: "closed",
    },
  ],
  "an upgrade that the machine does not take up": [
    {
      title: "leaves a request like others, and what was sent behind it waits for its answer",
      send: request("GET /1", "connection: upgrade", "upgrade: WebSocket") + request("GET /2"),
      backendGets: request("GET /1", "<edge>", "connection: upgrade", "upgrade: WebSocket") + seen("GET /2"),
      clientGets: ok("GET /1") + ok("GET /2"),
    },
    {
      title: "in HTTP/1.0 is none",
      send: head("GET / HTTP/1.0", LINE, "connection: upgrade", "upgrade: websocket"),
      backendGets: seen("GET /").replace("<edge>", "<edge: 1.0>"),
      clientGets: ok("GET /", CLOSED),
      afterwards: "closed",
    },
  ],
  "a 101 that nobody asked for is a bad response:": [
    ...(
      [
        ["without an upgrade", request("GET /"), seen("GET /"), `${SWITCHING}websocket\r\n\r\n`],
        [
          "to another protocol",
          request("GET /", "connection: upgrade", "upgrade: websocket"),
          request("GET /", "<edge>", "connection: upgrade", "upgrade: websocket"),
          `${SWITCHING}h2c\r\n\r\n`,
        ],
        [
          "that names no protocol",
          request("GET /", "connection: upgrade", "upgrade: websocket"),
          request("GET /", "<edge>", "connection: upgrade", "upgrade: websocket"),
          "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ],
        [
          "to h2c, which is never asked for",
          request("GET /", "connection: upgrade", "upgrade: h2c"),
          seen("GET /"),
          `${SWITCHING}h2c\r\n\r\n`,
        ],
      ] as const
    ).map(([title, send, backendGets, answer]): ByteExchange => ({
      title,
      send: [send, "\x81\x05hello"],
      answers: [answer],
      backendGets,
      clientGets: error("bad_response"),
      afterwards: "closed",
    })),
  ],
};
