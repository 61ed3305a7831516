// What a request decoder accepts as a head, and how it reads it.

import { get, HOST, testAccepted, withHost, withTarget, type AcceptedCase } from "./request-cases.ts";

const requestLines: AcceptedCase[] = [
  {
    title: "a request line is method, target and version (RFC 9112 3)",
    bytes: get(),
    requests: [{ method: "GET", target: "/", version: 11 }],
  },
  { title: "every token is a method (RFC 9110 9.1)", bytes: withTarget("/", "M-SEARCH"), requests: [{ method: "M-SEARCH" }] },
  { title: "a method of odd characters is one", bytes: withTarget("/", "!#$%&'*+-.^_`|~09"), requests: [{ method: "!#$%&'*+-.^_`|~09" }] },
  { title: "a method keeps its case (RFC 9110 9.1)", bytes: withTarget("/", "get"), requests: [{ method: "get" }] },
  { title: "a target keeps its query", bytes: withTarget("/a/b?c=d&e"), requests: [{ target: "/a/b?c=d&e" }] },
  { title: "a target is not normalised", bytes: withTarget("//a/../%2e%2E/b"), requests: [{ target: "//a/../%2e%2E/b" }] },
  {
    title: "a target that looks like an URL in its path is a path",
    bytes: withTarget("/http://x/"),
    requests: [{ target: "/http://x/", host: "example.com" }],
  },
  {
    title: "HTTP/1.0 needs no Host (RFC 9112 3.2)",
    bytes: "GET /x HTTP/1.0\r\n\r\n",
    requests: [{ version: 10, host: "", authority: "", keepAlive: false }],
  },
  {
    title: "HTTP/1.0 may have a Host",
    bytes: `GET / HTTP/1.0\r\n${HOST}\r\n`,
    requests: [{ version: 10, host: "example.com", fields: [["host", "example.com"]] }],
  },
  { title: "one empty line before a request line is forgiven (RFC 9112 2.2)", bytes: `\r\n${get()}`, requests: [{ target: "/" }] },
  {
    title: "one empty line between two requests is forgiven (RFC 9112 2.2)",
    bytes: `${get()}\r\n${get("A: b")}`,
    requests: [
      {},
      {
        fields: [
          ["host", "example.com"],
          ["a", "b"],
        ],
      },
    ],
  },
];

const targets: AcceptedCase[] = [
  {
    title: "absolute-form becomes origin-form (RFC 9112 3.2.2)",
    bytes: withTarget("http://example.com/x?y"),
    requests: [{ target: "/x?y", host: "example.com" }],
  },
  {
    title: "absolute-form over https, in any case",
    bytes: withTarget("HTTPS://EXAMPLE.com/X"),
    requests: [{ target: "/X", authority: "example.com" }],
  },
  { title: "absolute-form without a path gets one", bytes: withTarget("http://example.com"), requests: [{ target: "/" }] },
  { title: "absolute-form with a query alone gets a path", bytes: withTarget("http://example.com?a=/b"), requests: [{ target: "/?a=/b" }] },
  {
    title: "absolute-form OPTIONS without a path means the server (RFC 9112 3.2.4)",
    bytes: withTarget("http://example.com", "OPTIONS"),
    requests: [{ target: "*" }],
  },
  {
    title: "absolute-form names the host of HTTP/1.0",
    bytes: "GET http://a.b:81/ HTTP/1.0\r\n\r\n",
    requests: [{ host: "a.b", authority: "a.b:81" }],
  },
  {
    title: "absolute-form agrees with a Host of other case",
    bytes: `GET http://a.B:8080/ HTTP/1.1\r\nHost: A.b:8080\r\n\r\n`,
    requests: [{ authority: "a.b:8080" }],
  },
  {
    title: "OPTIONS may ask for the server as a whole (RFC 9112 3.2.4)",
    bytes: withTarget("*", "OPTIONS"),
    requests: [{ method: "OPTIONS", target: "*" }],
  },
];

const hosts: AcceptedCase[] = [
  { title: "a Host is read in lower case", bytes: withHost("EXAMPLE.Com"), requests: [{ host: "example.com", authority: "example.com" }] },
  {
    title: "a Host keeps its port in the authority alone",
    bytes: withHost("example.com:8080"),
    requests: [{ host: "example.com", authority: "example.com:8080" }],
  },
  { title: "an empty port means none (RFC 3986 3.2.3)", bytes: withHost("example.com:"), requests: [{ host: "example.com" }] },
  { title: "the dot of the root is not part of the name", bytes: withHost("example.com.:80"), requests: [{ host: "example.com" }] },
  { title: "an IPv4 address is a Host", bytes: withHost("127.0.0.1:80"), requests: [{ host: "127.0.0.1" }] },
  {
    title: "an IPv6 address keeps its brackets",
    bytes: withHost("[2001:DB8::1]:443"),
    requests: [{ host: "[2001:db8::1]", authority: "[2001:db8::1]:443" }],
  },
  {
    title: "a Host may stand behind other fields",
    bytes: "GET / HTTP/1.1\r\nA: b\r\nhOST:x\r\n\r\n",
    requests: [
      {
        host: "x",
        fields: [
          ["a", "b"],
          ["host", "x"],
        ],
      },
    ],
  },
  {
    title: "the Host of each request counts, not the one before",
    bytes: `${withHost("a")}${withHost("B:1")}${withTarget("http://example.com/")}${withHost("b")}${withHost("b")}`,
    requests: [
      { host: "a", authority: "a" },
      { host: "b", authority: "b:1" },
      { host: "example.com" },
      { host: "b", authority: "b" },
      { host: "b" },
    ],
  },
  {
    title: "HTTP/1.0 without a Host forgets the one before",
    bytes: `${withHost("a")}GET / HTTP/1.0\r\n\r\n`,
    requests: [{ host: "a" }, { host: "", authority: "" }],
  },
];

const fields: AcceptedCase[] = [
  {
    title: "names are read in lower case (RFC 9110 5.1)",
    bytes: get("X-ODD-Case: V"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["x-odd-case", "V"],
        ],
      },
    ],
  },
  {
    title: "a name is any token (RFC 9110 5.6.2)",
    bytes: get("!#$%&'*+-.^_`|~Az9: v"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["!#$%&'*+-.^_`|~az9", "v"],
        ],
      },
    ],
  },
  {
    title: "white space around a value is none of it (RFC 9112 5.1)",
    bytes: get("A: \t b c \t"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["a", "b c"],
        ],
      },
    ],
  },
  {
    title: "no white space is needed behind the colon",
    bytes: get("A:b"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["a", "b"],
        ],
      },
    ],
  },
  {
    title: "a value may be empty",
    bytes: get("A:", "B:  ", "C: c"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["a", ""],
          ["b", ""],
          ["c", "c"],
        ],
      },
    ],
  },
  {
    title: "a value may hold tabs, colons and bytes above ASCII (RFC 9110 5.5)",
    bytes: get("A: x\ty:z \x80\xff"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["a", "x\ty:z \x80\xff"],
        ],
      },
    ],
  },
  {
    title: "fields of one name stay apart, in order (RFC 9110 5.3)",
    bytes: get("A: 1", "B: 2", "a: 3"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["a", "1"],
          ["b", "2"],
          ["a", "3"],
        ],
      },
    ],
  },
  {
    title: "__proto__ is a name like any other",
    bytes: get("__proto__: x"),
    requests: [
      {
        fields: [
          ["host", "example.com"],
          ["__proto__", "x"],
        ],
      },
    ],
  },
];

const persistence: AcceptedCase[] = [
  { title: "HTTP/1.1 stays open (RFC 9112 9.3)", bytes: get(), requests: [{ keepAlive: true, connectionNames: null }] },
  { title: "close ends it, in any case", bytes: get("Connection: CLOSE"), requests: [{ keepAlive: false }] },
  {
    title: "close ends it among other options",
    bytes: get("Connection: a ,\tClose\t, b"),
    requests: [{ keepAlive: false, connectionNames: ["a", "b"] }],
  },
  { title: "close ends it in a second field", bytes: get("Connection: keep-alive", "Connection: close"), requests: [{ keepAlive: false }] },
  { title: "close wins over keep-alive (RFC 9112 9.3)", bytes: get("Connection: close, keep-alive"), requests: [{ keepAlive: false }] },
  { title: "HTTP/1.0 ends (RFC 9112 9.3)", bytes: `GET / HTTP/1.0\r\n${HOST}\r\n`, requests: [{ keepAlive: false }] },
  {
    title: "HTTP/1.0 stays open when asked to",
    bytes: `GET / HTTP/1.0\r\n${HOST}Connection: Keep-Alive\r\n\r\n`,
    requests: [{ keepAlive: true }],
  },
  { title: "Proxy-Connection says nothing", bytes: get("Proxy-Connection: close"), requests: [{ keepAlive: true }] },
  {
    title: "white space is blank and tab only",
    bytes: get("Connection: \xa0close"),
    requests: [{ keepAlive: true, connectionNames: ["\xa0close"] }],
  },
  {
    title: "names in Connection are told (RFC 9110 7.6.1)",
    bytes: get("Connection: X-A, x-b"),
    requests: [{ connectionNames: ["x-a", "x-b"] }],
  },
  {
    title: "framing and Host cannot be named in Connection",
    bytes: get("Connection: Host, Content-Length, transfer-encoding, x"),
    requests: [{ connectionNames: ["x"] }],
  },
  {
    title: "hop-by-hop fields need no naming",
    bytes: get("Connection: te, Keep-Alive, trailer, upgrade, http2-settings"),
    requests: [{ connectionNames: null }],
  },
  { title: "an empty Connection says nothing", bytes: get("Connection: , ,"), requests: [{ keepAlive: true, connectionNames: null }] },
  {
    title: "32 names in Connection are not too many",
    bytes: get(`Connection: ${Array.from({ length: 32 }, (_, i) => `n${i}`).join(",")}`),
    requests: [{ connectionNames: Array.from({ length: 32 }, (_, i) => `n${i}`) }],
  },
  {
    title: "an upgrade is asked for by Upgrade and Connection together (RFC 9110 7.8)",
    bytes: get("Connection: Upgrade", "Upgrade: WebSocket"),
    requests: [{ upgrade: "websocket", keepAlive: true }],
  },
  {
    title: "browsers name keep-alive with it",
    bytes: get("Connection: keep-alive, Upgrade", "Upgrade: websocket"),
    requests: [{ upgrade: "websocket" }],
  },
  { title: "Upgrade without Connection asks for nothing", bytes: get("Upgrade: websocket"), requests: [{ upgrade: "" }] },
  { title: "Connection: upgrade without Upgrade asks for nothing", bytes: get("Connection: upgrade"), requests: [{ upgrade: "" }] },
  {
    title: "HTTP/1.0 cannot upgrade (RFC 9110 7.8)",
    bytes: `GET / HTTP/1.0\r\n${HOST}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
    requests: [{ upgrade: "" }],
  },
  {
    title: "100-continue is expected, in any case (RFC 9110 10.1.1)",
    bytes: get("Expect: 100-Continue"),
    requests: [{ expectsContinue: true }],
  },
  {
    title: "HTTP/1.0 cannot expect (RFC 9110 10.1.1)",
    bytes: `GET / HTTP/1.0\r\n${HOST}Expect: 100-continue\r\n\r\n`,
    requests: [{ expectsContinue: false }],
  },
];

testAccepted({ requestLines, targets, hosts, fields, persistence });
