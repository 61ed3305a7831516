// The access log: one JSON line an exchange, whatever became of it, with what an operator needs to tell why.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { ask, askMachine, identify, machineOf, processApp } from "../support/apps.ts";
import { startBackend, staticApp, type Backend } from "../support/backend.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { exchangeRaw, RawClient } from "../support/raw-client.ts";

type Line = Readonly<Record<string, string | number | undefined>>;

let node: TestNode;
let backend: Backend;
before(async () => {
  backend = await startBackend((_, response) => response.end("fixed"));
  // Nobody listens on the address of the first machine.
  const deaf = '[[kittiwake.machines]]\nid = "two-machines-2"\nregion = "fra"\naddress = "127.0.0.1:__PORT__"';
  node = await startTestNode({
    apps: {
      hello: processApp("hello"),
      narrow: processApp("narrow", { hardLimit: 1 }),
      secure: processApp("secure", { service: "force_https = true" }),
      "no-one": staticApp("no-one", 1),
      "two-machines": staticApp("two-machines", 1, deaf.replace("__PORT__", String(backend.port))),
    },
    tables: "[limits]\nattempts = 2",
  });
});
after(async () => {
  await node[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

function linesNow(): Line[] {
  const lines = readFileSync(join(node.dir, "node.log"), "utf8").split("\n");
  // The last one may still be on its way.
  return lines.slice(0, -1).flatMap((line) => {
    const parsed = JSON.parse(line) as Line;
    return parsed["level"] === "access" ? [parsed] : [];
  });
}

/** The one line of the exchange with this path. */
async function lineOf(path: string): Promise<Line> {
  const found = (): Line[] => linesNow().filter((line) => line["path"] === path);
  await eventually(() => found().length > 0, `the line of ${path}`);
  assert.equal(found().length, 1);
  return found()[0]!;
}

function rawGet(app: string, path: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: ${app}.localhost\r\n\r\n`;
}

describe("the line of an exchange", () => {
  test("says who asked what, which machine answered, how long it took, and that it had to wake", async () => {
    const { headers, body } = await ask(node.httpPort, "hello", "/first?a=1");
    const {
      time,
      duration_ms: durationMs,
      ttfb_ms: ttfbMs,
      wait_ms: waitMs,
      wake_ms: wakeMs,
      bytes_out: bytesOut,
      ...rest
    } = await lineOf("/first?a=1");
    assert.deepEqual(rest, {
      level: "access",
      id: headers["fly-request-id"],
      client: "127.0.0.1",
      method: "GET",
      host: "hello.localhost",
      path: "/first?a=1",
      protocol: "HTTP/1.1",
      scheme: "http",
      status: 200,
      app: "hello",
      region: "ams",
      machine: machineOf(node, "hello").id,
      attempts: 1,
      bytes_in: 0,
    });
    assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000, String(time));
    assert.equal(waitMs, wakeMs);
    const order = [0, Number(wakeMs), Number(ttfbMs), Number(durationMs)];
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    assert.ok(Number(bytesOut) > body.length, String(bytesOut));
  });

  test("to a machine that runs has no waiting in it, and has the client's name of itself", async () => {
    await identify(node.httpPort, "hello");
    await exchangeRaw(
      node.httpPort,
      'POST /warm HTTP/1.1\r\nhost: hello.localhost\r\nuser-agent: "a\tb"\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello',
    );
    const line = await lineOf("/warm");
    assert.deepEqual([line["wait_ms"], line["wake_ms"], line["bytes_in"]], [undefined, undefined, 5]);
    assert.deepEqual([line["method"], line["user_agent"], line["status"]], ["POST", '"a\tb"', 200]);
  });

  test("that waited for a place says so, and does not call it a wake", async () => {
    await identify(node.httpPort, "narrow");
    const machine = machineOf(node, "narrow");
    const held = identify(node.httpPort, "narrow", "/hold");
    await eventually(() => node.node.control.inFlight(machine.id) === 1, "a request in flight");
    const waiting = [1, 2, 3].map((number) => identify(node.httpPort, "narrow", `/waiting-${number}`));
    await eventually(async () => {
      await node.node.control.metrics();
      return node.node.control.status().waiting === 3;
    }, "three requests that wait");
    await askMachine(machine, "/release");
    await Promise.all([held, ...waiting]);
    for (const number of [1, 2, 3]) {
      const line = await lineOf(`/waiting-${number}`);
      assert.ok(Number(line["wait_ms"]) > 0, String(line["wait_ms"]));
      assert.equal(line["wake_ms"], undefined);
    }
  });

  test("has the code of what failed, and none when a further attempt did not", async () => {
    assert.equal((await ask(node.httpPort, "nobody", "/unknown")).status, 404);
    const unknown = await lineOf("/unknown");
    assert.deepEqual([unknown["status"], unknown["code"], unknown["app"], unknown["attempts"]], [404, "unknown_host", undefined, 0]);

    assert.equal((await ask(node.httpPort, "no-one", "/refused")).status, 502);
    const refused = await lineOf("/refused");
    assert.deepEqual(
      [refused["status"], refused["code"], refused["machine"], refused["attempts"]],
      [502, "connect_refused", "no-one-1", 2],
    );
    // Reference section 3.6.
    assert.deepEqual(
      [refused["fly_code"], refused["message"]],
      [
        "PR03",
        "could not find a good candidate within 2 attempts at load balancing. last error: [PC01] the machine refused the connection",
      ],
    );

    assert.equal((await ask(node.httpPort, "two-machines", "/second")).status, 200);
    const second = await lineOf("/second");
    assert.deepEqual([second["status"], second["code"], second["machine"], second["attempts"]], [200, undefined, "two-machines-2", 2]);
  });

  test("of a redirect to HTTPS has its app, and that over HTTPS says so", async () => {
    assert.equal((await ask(node.httpPort, "secure", "/plain")).status, 301);
    const plain = await lineOf("/plain");
    assert.deepEqual(
      [plain["status"], plain["code"], plain["app"], plain["scheme"], plain["attempts"]],
      [301, undefined, "secure", "http", 0],
    );

    const host = "secure.localhost";
    const options = {
      port: node.httpsPort,
      host: "127.0.0.1",
      path: "/tls",
      servername: host,
      headers: { host },
      ca: rootOf(node),
      agent: false,
    };
    await new Promise((resolve, reject) => request(options, resolve).on("error", reject).end());
    const tls = await lineOf("/tls");
    assert.deepEqual([tls["status"], tls["scheme"], tls["app"]], [200, "https", "secure"]);
  });

  test("of a client that left says that, and has status 0", async () => {
    await identify(node.httpPort, "hello");
    const { id } = machineOf(node, "hello");
    using client = await RawClient.connect(node.httpPort);
    client.send(rawGet("hello", "/hold?key=left"));
    await eventually(() => node.node.control.inFlight(id) === 1, "a request in flight");
    client.reset();
    const line = await lineOf("/hold?key=left");
    assert.deepEqual([line["status"], line["code"], line["machine"], line["ttfb_ms"]], [0, "client_closed", id, undefined]);
  });

  test("of a WebSocket comes at its end, with the bytes of both ways", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${node.httpPort}/socket`, { headers: { host: "hello.localhost" } });
    socket.on("open", () => socket.send("x".repeat(1000)));
    socket.on("message", () => socket.close());
    const line = await lineOf("/socket");
    assert.deepEqual([line["status"], line["code"]], [101, undefined]);
    assert.ok(Number(line["bytes_in"]) > 1000 && Number(line["bytes_out"]) > 1000, `${line["bytes_in"]} ${line["bytes_out"]}`);
  });

  test("that could not be read as a request has no path, but its code and the id that the client was given", async () => {
    const response = await exchangeRaw(node.httpPort, "GET / HTTP/1.1\r\nhost : hello.localhost\r\n\r\n");
    const [, id] = /^fly-request-id: (\S+)\r$/im.exec(response)!;
    const line = (): Line | undefined => linesNow().find((candidate) => candidate["id"] === id);
    await eventually(() => line() !== undefined, "the line of the malformed request");
    assert.deepEqual([line()?.["status"], line()?.["code"], line()?.["client"]], [400, "bad_header", "127.0.0.1"]);
    assert.equal(line()?.["bytes_out"], response.length);
  });
});

describe("a node that ends", () => {
  test("has written every line", async () => {
    const apps = { fixed: staticApp("fixed", backend.port) };
    const own = await startTestNode({ workers: 2, apps });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(own.httpPort, "fixed", `/${index}`)));
    assert.ok(answers.every(({ status }) => status === 200));
    await own.node.stop();
    const text = readFileSync(join(own.dir, "node.log"), "utf8");
    for (let index = 0; index < 50; index++) assert.ok(text.includes(`"path":"/${index}"`), `/${index}`);
    await own[Symbol.asyncDispose]();
  });
});
