// The time-outs that a service sets for itself: `idle_timeout` and `headers_read_timeout` of its `http_options` (reference section 2.6).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

/** Nobody waits for these: the tests have the time pass (TestNode.passTime). */
const IDLE_MS = 60_000;
const HEAD_MS = 50_000;

const edge = await startEdge({
  edit: (text) => `${text}\n[http_service.http_options]\nidle_timeout = ${IDLE_MS / 1000}\nheaders_read_timeout = ${HEAD_MS / 1000}\n`,
  apps: { patient: staticApp("patient", 1) },
  tables: '[timeouts]\nrequest_head = "100s"\nkeep_alive_idle = "100s"\nclient_idle = "1h"\n[limits]\nheld_body_bytes = 0',
});
/** With no other app on its ports. */
const alone = await startEdge({ edit: (text) => `${text}\n[http_service.http_options]\nheaders_read_timeout = ${HEAD_MS / 1000}\n` });
after(() => Promise.all([edge[Symbol.asyncDispose](), alone[Symbol.asyncDispose]()]));

/** The line of the access log for a path. */
async function logged(path: string): Promise<Readonly<Record<string, unknown>>> {
  const line = (): string | undefined =>
    readFileSync(join(edge.test.dir, "node.log"), "utf8")
      .split("\n")
      .find((text) => text.includes(`"path":"${path}"`));
  await eventually(() => line() !== undefined, `the line for ${path}`);
  return JSON.parse(line()!) as Record<string, unknown>;
}

describe("idle_timeout", () => {
  test("makes a machine that says nothing a 504, and its connection is closed", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(get("/silent"));
    await edge.backend.request();
    const answer = await edge.test.endsAfter(IDLE_MS, client.response());
    assert.deepEqual([answer.status, answer.header("kittiwake-error")], [504, "upstream_timeout"]);
    await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
    await edge.untilReleased();
  });

  test("cuts a response that stops in the middle, so that nobody takes it for complete", async () => {
    await edge.backend.answers(() => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
    using client = await edge.connect();
    await client.send(get("/half")).until((text) => text.endsWith("hello"));
    await edge.test.endsAfter(IDLE_MS, client.untilEnd());
    assert.equal(client.wasReset, true);
    assert.equal((await logged("/half"))["code"], "upstream_timeout");
    await edge.untilReleased();
  });

  test("lets a response be slow for as long as something comes", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(get());
    await edge.backend.request();
    const machine = await edge.backend.connection();
    machine.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    assert.equal((await client.response()).status, 103);
    await edge.test.passTime(IDLE_MS * 0.9);
    machine.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    for (const character of "slow") {
      await edge.test.passTime(IDLE_MS * 0.9);
      machine.send(character);
    }
    assert.equal((await client.response()).body, "slow");
  });

  test("lets a request be slow for as long as something goes", async () => {
    await edge.backend.answers(({ body }) => response(body));
    using client = await edge.connect();
    client.send(head("POST", "/", ["content-length: 4"]));
    const machine = await edge.backend.connection();
    for (const [i, character] of [..."slow"].entries()) {
      await machine.until((text) => text.endsWith(`\r\n\r\n${"slow".slice(0, i)}`));
      await edge.test.passTime(IDLE_MS * 0.9);
      client.send(character);
    }
    assert.equal((await client.response()).body, "slow");
  });

  test("is no fault of the machine when it was the client that stopped: 408", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(`${head("POST", "/", ["content-length: 10"])}hello`);
    await (await edge.backend.connection()).until((text) => text.endsWith("hello"));
    const answer = await edge.test.endsAfter(IDLE_MS, client.response());
    assert.deepEqual([answer.status, answer.header("kittiwake-error")], [408, "request_timeout"]);
    await edge.untilReleased();
  });

  test("is the only word on silence: a node that is less patient has none", async () => {
    await using hasty = await startEdge({
      edit: (text) => `${text}\n[http_service.http_options]\nidle_timeout = ${IDLE_MS / 1000}\n`,
      tables: '[timeouts]\nupstream_head = "200ms"\nupstream_silence = "200ms"\ntunnel_idle = "200ms"',
    });
    await hasty.backend.answers(() => null);
    using client = await hasty.connect();
    client.send(get());
    await hasty.backend.request();
    const machine = await hasty.backend.connection();
    await hasty.test.passTime(IDLE_MS * 0.9);
    machine.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    await hasty.test.passTime(IDLE_MS * 0.9);
    machine.send("well");
    assert.equal((await client.response()).body, "well");
  });

  test("does not run while the connection rests between two requests", async () => {
    await edge.backend.answers(() => response("well"));
    using client = await edge.connect();
    await client.send(get()).response();
    await edge.test.passTime(IDLE_MS * 1.2);
    assert.equal((await client.send(get()).response()).body, "well");
  });

  test("cuts a silent tunnel on both sides, and leaves one alone through which anything passes, either way", async () => {
    await edge.backend.answers((_, machine) => {
      machine.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
      return null;
    });
    using client = await edge.connect();
    client.send(get("/tunnel", ["connection: upgrade", "upgrade: echo"]));
    await client.until((text) => text.includes("\r\n\r\n"));
    const machine = await edge.backend.connection();
    for (let i = 0; i < 4; i++) {
      await edge.test.passTime(IDLE_MS * 0.9);
      if (i % 2 === 0) client.send("up");
      else machine.send("down");
    }
    await client.until((text) => text.endsWith("downdown"));
    await edge.test.endsAfter(IDLE_MS, client.untilEnd());
    await eventually(() => machine.ended, "the machine's side to end");
    assert.equal((await logged("/tunnel"))["code"], "connection_idle");
    await edge.untilReleased();
  });

  test("is over with the response, also one that was compressed", async () => {
    const text = readFileSync(join(edge.test.dir, "apps", "hello.toml"), "utf8");
    edge.test.writeApp("hello", text.replace("idle_timeout =", "compress = true\nidle_timeout ="));
    await edge.test.node.control.reload();
    const line = "All work and no play makes Jack a dull boy.\n";
    await edge.backend.answers(() => response(line.repeat(1000), ["content-type: text/plain"]));
    const ask = async (): Promise<boolean> => {
      using client = await edge.connect();
      return (await client.send(get("/", ["accept-encoding: gzip"])).response()).header("content-encoding") === "gzip";
    };
    await eventually(ask, "compression to be in force");
    using client = await edge.connect();
    client.send(get("/", ["accept-encoding: gzip"]));
    await client.response();
    await edge.test.passTime(IDLE_MS * 1.2);
    assert.equal((await client.send(get("/", ["accept-encoding: gzip"])).response()).status, 200);
  });
});

describe("headers_read_timeout", () => {
  test("is how long a head may take on a port that no other app has", async () => {
    for (const begun of ["", "GET / HTTP/1.1\r\nhost: "]) {
      using client = await alone.connect();
      client.send(begun);
      await alone.test.endsAfter(HEAD_MS, client.untilEnd());
      assert.match(client.received, begun === "" ? /^$/ : /^HTTP\/1\.1 408 /);
    }
  });

  test("holds for the heads that follow as well", async () => {
    await alone.backend.answers(() => response("well"));
    using client = await alone.connect();
    await client.send(get()).response();
    await alone.test.passTime(HEAD_MS * 1.2);
    const answer = await alone.test.endsAfter(HEAD_MS, client.send("GET / HTTP/1.1\r\n").response());
    assert.equal(answer.status, 408);
  });

  test("is that of the app which the TLS handshake names, over HTTP/1.1 and HTTP/2", async () => {
    const options = { ca: rootOf(edge.test) };
    for (const protocol of ["http/1.1", "h2"]) {
      const ALPNProtocols = [protocol];
      using patient = await RawClient.connectTls(edge.test.httpsPort, { ...options, ALPNProtocols, servername: "patient.localhost" });
      using hasty = await RawClient.connectTls(edge.test.httpsPort, { ...options, ALPNProtocols, servername: HOST });
      await edge.test.endsAfter(HEAD_MS, hasty.untilEnd());
      assert.equal(patient.ended, false, protocol);
    }
  });

  test("on a plain port that apps share is that of the most patient one", async () => {
    using client = await edge.connect();
    client.send("GET / HTTP/1.1\r\n");
    await edge.test.passTime(HEAD_MS * 1.2);
    assert.equal(client.ended, false);
    await edge.backend.answers(() => response("well"));
    assert.equal((await client.send(`host: ${HOST}\r\n\r\n`).response()).body, "well");
  });
});
