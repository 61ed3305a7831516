// The time-outs that a service sets for itself: `idle_timeout` and `headers_read_timeout` of its `http_options` (reference section 2.6).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, describe, test } from "node:test";
import { staticApp } from "../support/backend.ts";
import { eventually } from "../support/eventually.ts";
import { get, head, HOST, rootOf, startEdge } from "../support/edge.ts";
import { RawClient } from "../support/raw-client.ts";
import { response } from "../support/scripted-backend.ts";

const IDLE_MS = 1000;
/** Time-outs fire up to two ticks of 100 ms late; the rest is for a machine with other things to do. */
const LATEST_MS = 4000;

const edge = await startEdge({
  edit: (text) => `${text}\n[http_service.http_options]\nidle_timeout = 1\nheaders_read_timeout = 1\n`,
  apps: { patient: staticApp("patient", 1) },
});
/** With no other app on its ports. */
const alone = await startEdge({ edit: (text) => `${text}\n[http_service.http_options]\nheaders_read_timeout = 1\n` });
after(() => Promise.all([edge[Symbol.asyncDispose](), alone[Symbol.asyncDispose]()]));

/** How long something takes; fails unless that is about a time-out of a second. */
async function takesIdleTime<Result>(act: () => Promise<Result>): Promise<Result> {
  const startedMs = performance.now();
  const result = await act();
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs >= IDLE_MS - 50 && tookMs < IDLE_MS + LATEST_MS, `it took ${tookMs} ms`);
  return result;
}

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
    const answer = await takesIdleTime(() => client.send(get("/silent")).response());
    assert.deepEqual([answer.status, answer.header("kittiwake-error")], [504, "upstream_timeout"]);
    await eventually(() => edge.backend.open === 0, "the machine's connection to be closed");
    await edge.untilReleased();
  });

  test("cuts a response that stops in the middle, so that nobody takes it for complete", async () => {
    await edge.backend.answers(() => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
    using client = await edge.connect();
    client.send(get("/half"));
    await takesIdleTime(() => client.untilEnd());
    assert.equal(client.wasReset, true);
    assert.equal((await logged("/half"))["code"], "upstream_timeout");
    await edge.untilReleased();
  });

  test("lets a response be slow for as long as something comes", async () => {
    await edge.backend.answers((_, machine) => {
      void (async () => {
        machine.send("HTTP/1.1 103 Early Hints\r\n\r\n");
        await delay(IDLE_MS * 0.6);
        machine.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
        for (const character of "slow") {
          await delay(IDLE_MS * 0.6);
          machine.send(character);
        }
      })();
      return null;
    });
    using client = await edge.connect();
    client.send(get());
    assert.equal((await client.response()).status, 103);
    assert.equal((await client.response()).body, "slow");
  });

  test("lets a request be slow for as long as something goes", async () => {
    await edge.backend.answers(({ body }) => response(body));
    using client = await edge.connect();
    client.send(head("POST", "/", ["content-length: 4"]));
    for (const character of "slow") {
      await delay(IDLE_MS * 0.6);
      client.send(character);
    }
    assert.equal((await client.response()).body, "slow");
  });

  test("is no fault of the machine when it was the client that stopped: 408", async () => {
    await edge.backend.answers(() => null);
    using client = await edge.connect();
    client.send(`${head("POST", "/", ["content-length: 10"])}hello`);
    const answer = await takesIdleTime(() => client.response());
    assert.deepEqual([answer.status, answer.header("kittiwake-error")], [408, "request_timeout"]);
    await edge.untilReleased();
  });

  test("is the only word on silence: a node that is less patient has none", async () => {
    await using hasty = await startEdge({
      edit: (text) => `${text}\n[http_service.http_options]\nidle_timeout = 5\n`,
      tables: '[timeouts]\nupstream_head = "200ms"\nupstream_silence = "200ms"\ntunnel_idle = "200ms"',
    });
    await hasty.backend.answers((_, machine) => {
      void (async () => {
        await delay(700);
        machine.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
        await delay(700);
        machine.send("well");
      })();
      return null;
    });
    using client = await hasty.connect();
    assert.equal((await client.send(get()).response()).body, "well");
  });

  test("does not run while the connection rests between two requests", async () => {
    await edge.backend.answers(() => response("well"));
    using client = await edge.connect();
    await client.send(get()).response();
    await delay(IDLE_MS * 1.5);
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
      await delay(IDLE_MS * 0.6);
      if (i % 2 === 0) client.send("up");
      else machine.send("down");
    }
    await client.until((text) => text.endsWith("downdown"));
    await takesIdleTime(() => client.untilEnd());
    await eventually(() => machine.ended, "the machine's side to end");
    assert.equal((await logged("/tunnel"))["code"], "connection_idle");
    await edge.untilReleased();
  });

  test("is over with the response, also one that was compressed", async () => {
    const text = readFileSync(join(edge.test.dir, "apps", "hello.toml"), "utf8");
    edge.test.writeApp("hello", text.replace("idle_timeout = 1", "idle_timeout = 1\ncompress = true"));
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
    await delay(IDLE_MS * 1.5);
    assert.equal((await client.send(get("/", ["accept-encoding: gzip"])).response()).status, 200);
  });
});

describe("headers_read_timeout", () => {
  test("is how long a head may take on a port that no other app has", async () => {
    for (const begun of ["", "GET / HTTP/1.1\r\nhost: "]) {
      using client = await alone.connect();
      client.send(begun);
      await takesIdleTime(() => client.untilEnd());
      assert.match(client.received, begun === "" ? /^$/ : /^HTTP\/1\.1 408 /);
    }
  });

  test("holds for the heads that follow as well", async () => {
    await alone.backend.answers(() => response("well"));
    using client = await alone.connect();
    await client.send(get()).response();
    await delay(IDLE_MS * 1.3);
    const answer = await takesIdleTime(() => client.send("GET / HTTP/1.1\r\n").response());
    assert.equal(answer.status, 408);
  });

  test("is that of the app which the TLS handshake names, over HTTP/1.1 and HTTP/2", async () => {
    const options = { ca: rootOf(edge.test) };
    for (const protocol of ["http/1.1", "h2"]) {
      const ALPNProtocols = [protocol];
      using patient = await RawClient.connectTls(edge.test.httpsPort, { ...options, ALPNProtocols, servername: "patient.localhost" });
      using hasty = await RawClient.connectTls(edge.test.httpsPort, { ...options, ALPNProtocols, servername: HOST });
      await hasty.untilEnd();
      assert.equal(patient.ended, false, protocol);
    }
  });

  test("on a plain port that apps share is that of the most patient one", async () => {
    using client = await edge.connect();
    client.send("GET / HTTP/1.1\r\n");
    using other = await alone.connect();
    await other.send("GET / HTTP/1.1\r\n").untilEnd();
    await edge.backend.answers(() => response("well"));
    assert.equal((await client.send(`host: ${HOST}\r\n\r\n`).response()).body, "well");
  });
});
