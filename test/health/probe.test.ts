import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, it } from "node:test";

import type { Address, ServiceCheck } from "../../src/core/app.ts";
import { probe, type ProbeOutcome } from "../../src/health/probe.ts";
import { Backend, httpCheck, tcpCheck } from "./backend.ts";

const NEVER = new AbortController().signal;

function probed(check: ServiceCheck, address: Address): Promise<ProbeOutcome> {
  return probe(check, address, NEVER);
}

async function closedPort(): Promise<Address> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return { host: "127.0.0.1", port };
}

describe("an HTTP probe", () => {
  it("asks what the check says, with address and port as its Host", async () => {
    await using backend = await Backend.start();
    const check = httpCheck({ method: "HEAD", path: "/up?deep=1", headers: { "x-probe": "kittiwake" } });
    const outcome = await probed(check, backend.address);
    const { port } = backend.address;
    assert.deepEqual(outcome, { status: "passing", output: `HTTP HEAD http://127.0.0.1:${port}/up?deep=1: 200 OK` });
    const [request] = backend.requests;
    assert.ok(request);
    assert.deepEqual([request.method, request.url], ["HEAD", "/up?deep=1"]);
    assert.equal(request.headers["x-probe"], "kittiwake");
    assert.equal(request.headers.host, `127.0.0.1:${port}`);
  });

  it("takes a Host that the check gives", async () => {
    await using backend = await Backend.start();
    await probed(httpCheck({ headers: { host: "hello.example.com" } }), backend.address);
    assert.equal(backend.requests[0]?.headers.host, "hello.example.com");
  });

  it("passes on any 2xx; 429 is a warning, and all else a failure, redirects too (reference 7.1)", async () => {
    await using backend = await Backend.start();
    const passing: string[] = [];
    for (const status of [200, 204, 299, 301, 302, 304, 401, 404, 429, 500, 503]) {
      backend.answer = (_request, response) => void response.writeHead(status, { location: "/elsewhere" }).end();
      const outcome = await probed(httpCheck(), backend.address);
      if (outcome.status !== "critical") passing.push(`${status} ${outcome.status}`);
    }
    assert.deepEqual(passing, ["200 passing", "204 passing", "299 passing", "429 warning"]);
    assert.ok(
      backend.requests.every((request) => request.url === "/health"),
      "a redirect was followed",
    );
  });

  it("uses a connection of its own each time, and asks to close it", async () => {
    await using backend = await Backend.start();
    await probed(httpCheck(), backend.address);
    await probed(httpCheck(), backend.address);
    assert.equal(backend.connections, 2);
    assert.equal(backend.requests[0]?.headers.connection, "close");
  });

  it("reads an endless body only so far", async () => {
    await using backend = await Backend.start();
    backend.answer = (_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(16_384)));
        response.once("drain", more);
      };
      more();
    };
    assert.equal((await probed(httpCheck(), backend.address)).status, "passing");
  });

  it("fails when the answer, or its body, does not come in time", async () => {
    await using backend = await Backend.start();
    const check = httpCheck({ timeoutMs: 50 });
    const { port } = backend.address;
    const late = { status: "critical", output: `HTTP GET http://127.0.0.1:${port}/health: no answer within 50 ms` };
    backend.answer = () => {};
    assert.deepEqual(await probed(check, backend.address), late);
    backend.answer = (_request, response) => void response.write("one moment");
    assert.deepEqual(await probed(check, backend.address), late);
  });

  it("fails when the answer breaks off", async () => {
    await using backend = await Backend.start();
    backend.answer = (request) => void request.socket.destroy();
    const outcome = await probed(httpCheck(), backend.address);
    assert.match(outcome.output, /connection closed before the answer$/);
    backend.answer = (request, response) =>
      void response.writeHead(200, { "content-length": 100 }).write("short", () => request.socket.destroy());
    assert.equal((await probed(httpCheck(), backend.address)).status, "critical");
  });

  it("fails when the connection is refused, or the answer is no HTTP", async () => {
    const refused = await probed(httpCheck(), await closedPort());
    assert.equal(refused.status, "critical");
    assert.match(refused.output, /: connection refused$/);
    const server = createServer(
      (socket) =>
        void socket
          .on("error", () => {})
          .resume()
          .end("SSH-2.0-OpenSSH\r\n"),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const outcome = await probed(httpCheck(), { host: "127.0.0.1", port: (server.address() as AddressInfo).port });
    assert.equal(outcome.status, "critical");
    server.close();
    await once(server, "close");
  });

  it("fails, and nothing more, when the check itself makes no sense", async () => {
    await using backend = await Backend.start();
    assert.equal((await probed(httpCheck({ headers: { "bad name": "x" } }), backend.address)).status, "critical");
    assert.equal((await probed(httpCheck({ method: "NO WAY" }), backend.address)).status, "critical");
  });

  it("is given up at once when nobody wants to know any more", async () => {
    await using backend = await Backend.start();
    backend.answer = () => {};
    const stop = new AbortController();
    const outcome = probe(httpCheck({ timeoutMs: 60_000 }), backend.address, stop.signal);
    await backend.seen(1);
    stop.abort();
    assert.equal((await outcome).status, "critical");
  });
});

describe("an HTTPS probe", () => {
  it("refuses a certificate that nobody vouches for, unless told to", async () => {
    await using backend = await Backend.startTls();
    const refused = await probed(httpCheck({ protocol: "https" }), backend.address);
    assert.equal(refused.status, "critical");
    assert.match(refused.output, /certificate/);
    assert.equal((await probed(httpCheck({ protocol: "https", tlsSkipVerify: true }), backend.address)).status, "passing");
  });

  it("sends the server name of the check", async () => {
    await using backend = await Backend.startTls();
    let serverName: unknown;
    backend.answer = (request, response) => {
      serverName = (request.socket as { servername?: unknown }).servername;
      response.end();
    };
    await probed(httpCheck({ protocol: "https", tlsSkipVerify: true, tlsServerName: "hello.internal" }), backend.address);
    assert.equal(serverName, "hello.internal");
  });
});

describe("a TCP probe", () => {
  it("passes when the port accepts", async () => {
    await using backend = await Backend.start();
    assert.deepEqual(await probed(tcpCheck(), backend.address), {
      status: "passing",
      output: `TCP 127.0.0.1:${backend.address.port}: accepts connections`,
    });
  });

  it("fails when it refuses", async () => {
    const address = await closedPort();
    assert.deepEqual(await probed(tcpCheck(), address), {
      status: "critical",
      output: `TCP 127.0.0.1:${address.port}: connection refused`,
    });
  });
});
