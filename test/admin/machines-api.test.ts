// The part of Fly's Machines API that a node answers: shapes and codes as in the reference, sections 9.1 to 9.3.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ProxyError } from "../../src/core/errors.ts";
import { RunningServer } from "./running-server.ts";

const MACHINES = "/v1/apps/hello/machines";

describe("apps", () => {
  test("are listed with their number", async () => {
    await using server = await RunningServer.start();
    const [status, body] = await server.json("/v1/apps?org_slug=personal");
    const { apps, total_apps: total } = body as {
      apps: readonly { name: string; machine_count: number; status: string }[];
      total_apps: number;
    };
    assert.deepEqual([status, total], [200, 2]);
    assert.deepEqual(
      apps.map((app) => [app.name, app.machine_count, app.status]),
      [
        ["hello", 3, "deployed"],
        ["slow", 0, "pending"],
      ],
    );
  });

  test("are shown one by one; one that is not there is 404", async () => {
    await using server = await RunningServer.start();
    assert.deepEqual(await server.json("/v1/apps/hello"), [
      200,
      {
        id: "hello",
        name: "hello",
        machine_count: 3,
        volume_count: 0,
        network: "default",
        status: "deployed",
        organization: { name: "kittiwake", slug: "personal" },
        kittiwake: { hostnames: ["hello.localhost"], started: 1 },
      },
    ]);
    const missing = { error: 'there is no app "nope"', status: "unknown", code: "app_not_found" };
    for (const path of ["/v1/apps/nope", "/v1/apps/nope/machines", "/v1/apps/nope/machines/ams"])
      assert.deepEqual(await server.json(path), [404, missing]);
  });
});

describe("a machine", () => {
  test("is shown in Fly's shape, by id and by name, and without secrets", async () => {
    await using server = await RunningServer.start();
    const expected = {
      id: "hello-ams",
      name: "ams",
      state: "started",
      region: "ams",
      private_ip: "127.0.0.1",
      config: {
        metadata: { fly_process_group: "app" },
        services: [
          {
            protocol: "tcp",
            internal_port: 8080,
            autostop: "suspend",
            autostart: true,
            min_machines_running: 0,
            ports: [
              { port: 80, handlers: ["http"], force_https: true },
              { port: 443, handlers: ["http", "tls"], force_https: false },
            ],
            concurrency: { type: "requests", soft_limit: 20, hard_limit: 25 },
            checks: [
              { type: "http", interval: "15s", timeout: "2s", grace_period: "1s", method: "GET", path: "/health", protocol: "http" },
            ],
          },
        ],
        checks: {},
        restart: { policy: "on-failure", max_retries: 10 },
        stop_config: { signal: "SIGINT", timeout: "5s" },
      },
      checks: [{ name: "servicecheck-00-http-8080", status: "passing", output: "200 OK", updated_at: "2030-01-02T03:04:05.000Z" }],
      cordoned: false,
      host_status: "ok",
      updated_at: "2030-01-02T03:04:05.000Z",
      kittiwake: { app: "hello", node: "ams-1", health: "passing", in_flight: 5, pid: 4711, reason: "" },
    };
    assert.deepEqual(await server.json(`${MACHINES}/hello-ams`), [200, expected]);
    assert.deepEqual(await server.json(`${MACHINES}/ams`), [200, expected]);
    const missing = { error: 'app "hello" has no machine "fra"', status: "unknown", code: "machine_not_found" };
    assert.deepEqual(await server.json(`${MACHINES}/fra`), [404, missing]);
  });

  test("is found in the list by region, state and metadata", async () => {
    await using server = await RunningServer.start();
    const list = async (query: string) => ((await server.json(MACHINES + query))[1] as readonly { name: string }[]).map(({ name }) => name);
    assert.deepEqual(await list(""), ["ams", "nrt", "ord"]);
    assert.deepEqual(await list("?region=nrt"), ["nrt"]);
    assert.deepEqual(await list("?state=suspended,stopped"), ["nrt", "ord"]);
    assert.deepEqual(await list("?state=suspended,stopped&region=ord"), ["ord"]);
    assert.deepEqual(await list("?metadata.fly_process_group=app&metadata.other=x"), []);
    assert.deepEqual(await list("?metadata.fly_process_group=app"), ["ams", "nrt", "ord"]);
  });

  test("is started, stopped and suspended with Fly's answers", async () => {
    await using server = await RunningServer.start();
    const started = { previous_state: "suspended", migrated: false, new_host: "" };
    assert.deepEqual(await server.json(`${MACHINES}/nrt/start`, { method: "POST" }), [200, started]);
    assert.deepEqual(await server.json(`${MACHINES}/hello-nrt/suspend`, { method: "POST" }), [200, { ok: true }]);
    assert.deepEqual(await server.json(`${MACHINES}/nrt/stop`, { method: "POST" }), [200, { ok: true }]);
    assert.deepEqual(server.control.asked, ["start hello hello-nrt", "suspend hello hello-nrt", "stop hello hello-nrt"]);
  });

  test("that cannot do what is asked says so with the status of the reason", async () => {
    await using server = await RunningServer.start();
    const [status, body] = await server.json(`${MACHINES}/ord/suspend`, { method: "POST" });
    assert.deepEqual([status, body], [409, { error: "the machine is stopped", status: "unknown", code: "machine_state" }]);
    server.control.failure = new ProxyError("not_supported");
    assert.equal((await server.json(`${MACHINES}/ord/start`, { method: "POST" }))[0], 422);
    assert.equal((await server.json(`${MACHINES}/fra/start`, { method: "POST" }))[0], 404);
    assert.deepEqual(server.control.asked, []);
  });

  test("takes the bodies that Fly's clients send, and refuses a stop that it could not do as asked", async () => {
    await using server = await RunningServer.start();
    const headers = { "content-type": "application/json" };
    const stop = (body: string) => server.json(`${MACHINES}/ams/stop`, { method: "POST", headers, body });
    for (const body of ["", "{}", "null", '{"id":"hello-ams","signal":"","timeout":0}'])
      assert.deepEqual(await stop(body), [200, { ok: true }], body);
    for (const body of ['{"signal":"SIGKILL"}', '{"timeout":"30s"}']) assert.equal((await stop(body))[0], 422, body);
    assert.equal((await stop('"now"'))[0], 400);
    assert.equal(server.control.asked.length, 4);
  });
});
