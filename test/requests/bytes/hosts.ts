// Whom a request is for: the Host field and the authority of the target, and that they agree. RFC 9110 section 7.2, RFC 9112 section 3.2.

import { HOST } from "../../support/edge.ts";
import { error, head, ok, refused, seen, type ByteExchange, type Topics } from "../../support/byte-exchanges.ts";

/** What the machine gets with this name in Host; the edge names it in lower case, and otherwise as the client did. */
function known(title: string, value: string, machineSees: string): ByteExchange {
  const backendGets = seen("GET /").replace(`host: ${HOST}`, `host: ${machineSees}`);
  return { title, send: head("GET / HTTP/1.1", `host:${value}`), backendGets, clientGets: ok("GET /") };
}

const UNKNOWN = "<404 unknown_host>";
const unknown = (title: string, host: string): ByteExchange => ({
  title,
  send: head("GET / HTTP/1.1", `host: ${host}`),
  backendGets: "",
  clientGets: UNKNOWN,
});

const LINE = `Host: ${HOST}`;
const hosted = (...lines: readonly string[]): string => head("GET / HTTP/1.1", ...lines);

export const HOSTS: Topics = {
  "a Host that is known": [
    known("is known in any case", " HELLO.LocalHost", HOST),
    known("is known with a dot at its end", ` ${HOST}.`, `${HOST}.`),
    known("is known with a port", ` ${HOST}:80`, `${HOST}:80`),
    known("is known with the port of another service, which says nothing", ` ${HOST}:8443`, `${HOST}:8443`),
    known("is known with an empty port", ` ${HOST}:`, `${HOST}:`),
    known("is known without white space before it", HOST, HOST),
    known("is known with white space around it", ` \t${HOST}\t `, HOST),
    {
      title: "may be the last field",
      send: head("GET / HTTP/1.1", "x-a: 1", `Host: ${HOST}`),
      backendGets: seen("GET /", "x-a: 1"),
      clientGets: ok("GET /"),
    },
    {
      title: "may be absent in HTTP/1.0 where the target names it",
      send: head(`GET http://${HOST}/x HTTP/1.0`),
      backendGets: seen("GET /x").replace("<edge>", "<edge: 1.0>"),
      clientGets: ok("GET /x", "connection: close"),
      afterwards: "closed",
    },
    {
      title: "cannot be hidden behind Connection",
      send: head("GET / HTTP/1.1", `host: ${HOST}`, "connection: host, close"),
      backendGets: seen("GET /"),
      clientGets: ok("GET /", "connection: close"),
      afterwards: "closed",
    },
  ],
  "a Host that is well-formed and unknown gets 404, and the connection goes on:": [
    unknown("another name", "other.localhost"),
    unknown("a name that begins like a known one", `${HOST}.evil.example`),
    unknown("a name that ends like a known one", `x${HOST}`),
    unknown("a name below a known one", `www.${HOST}`),
    unknown("a name of an object's own properties", "__proto__"),
    unknown("an IPv4 address", "127.0.0.1"),
    unknown("an IPv6 address", "[::1]:80"),
    unknown("a name with an underscore", "hello_.localhost"),
    unknown("a long name", "a".repeat(300)),
    {
      title: "none at all in HTTP/1.0",
      send: head("GET / HTTP/1.0"),
      backendGets: "",
      clientGets: error("unknown_host"),
      afterwards: "closed",
    },
    {
      title: "another name, with a body that is not waited for",
      send: `${head("POST / HTTP/1.1", "host: other.localhost", "content-length: 5")}hello`,
      backendGets: "",
      clientGets: error("unknown_host"),
      afterwards: "closed",
    },
  ],
  "refused as bad_host:": refused("bad_host", [
    ["no Host", hosted()],
    ["an empty Host", hosted("Host:")],
    ["a Host of white space", hosted("Host: \t ")],
    ["two Hosts", hosted(LINE, LINE)],
    ["two different Hosts", hosted(LINE, "Host: other.localhost")],
    ["two Hosts in different case", hosted(LINE, `HOST: ${HOST}`)],
    ["two Hosts with other fields between", hosted(LINE, "x-a: 1", LINE)],
    ["two Hosts, one empty", hosted("Host:", LINE)],
    ["two Hosts in HTTP/1.0", head("GET / HTTP/1.0", LINE, LINE)],
    ["a list in Host", hosted(`${LINE}, other.localhost`)],
    ["a space in Host", hosted(`${LINE} other`)],
    ["user information in Host", hosted(`Host: user@${HOST}`)],
    ["a path in Host", hosted(`${LINE}/x`)],
    ["a query in Host", hosted(`${LINE}?x`)],
    ["a scheme in Host", hosted(`Host: http://${HOST}`)],
    ["a percent in Host", hosted("Host: hello%2elocalhost")],
    ["a quote in Host", hosted(`Host: "${HOST}"`)],
    ["a byte above 127 in Host", hosted("Host: h\xe9llo.localhost")],
    ["a port that is no number", hosted(`${LINE}:http`)],
    ["a port with a sign", hosted(`${LINE}:+80`)],
    ["a port that is too high", hosted(`${LINE}:65536`)],
    ["a port with many zeros", hosted(`${LINE}:000080`)],
    ["two ports", hosted(`${LINE}:80:80`)],
    ["a port alone", hosted("Host: :80")],
    ["a dot alone", hosted("Host: .")],
    ["a dot in front", hosted(`Host: .${HOST}`)],
    ["an empty label", hosted("Host: hello..localhost")],
    ["two dots at the end", hosted(`${LINE}..`)],
    ["a broken IPv6 address", hosted("Host: [::1")],
    ["brackets around a name", hosted(`Host: [${HOST}]`)],
    ["an IPv6 address with a zone", hosted("Host: [fe80::1%25eth0]")],
    ["an IPv6 address without brackets", hosted("Host: ::1")],
    ["a target that names another host", head("GET http://other.localhost/ HTTP/1.1", LINE)],
    ["a target that names a known host, and another Host", head(`GET http://${HOST}/ HTTP/1.1`, "Host: other.localhost")],
    ["a target that names another port", head(`GET http://${HOST}:81/ HTTP/1.1`, LINE)],
    ["a target with a dot that Host has not", head(`GET http://${HOST}./ HTTP/1.1`, LINE)],
    ["a target that names no host", head("GET http:///x HTTP/1.1", LINE)],
    ["a target with user information", head(`GET http://user@${HOST}/ HTTP/1.1`, LINE)],
    ["a target with a backslash", head(`GET http://${HOST}\\@other/ HTTP/1.1`, LINE)],
    ["a target, but no Host in HTTP/1.1", head(`GET http://${HOST}/ HTTP/1.1`)],
  ]),
  "refused as bad_header:": refused("bad_header", [
    ["a NUL in Host", hosted(`${LINE}\0`)],
    ["a NUL that ends Host for some", hosted(`${LINE}\0.evil.example`)],
    ["a folded Host", hosted("Host:", ` ${HOST}`)],
    ["a space before the colon of Host", hosted(`Host : ${HOST}`)],
  ]),
};
