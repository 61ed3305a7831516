// /metrics: the series that dashboards made for Fly expect, with their labels, and numbers that are right.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { request } from "node:https";
import { after, before, describe, test } from "node:test";
import { ask, askMachine, identify, machineOf, processApp } from "../support/apps.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { exchangeRaw } from "../support/raw-client.ts";

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

type Scrape = ReadonlyMap<string, readonly Sample[]>;

const EDGE = ["app", "host", "region"];
const MACHINE = [...EDGE, "instance"].toSorted();

let node: TestNode;
before(async () => {
  node = await startTestNode({
    workers: 2,
    apps: {
      hello: processApp("hello", { regions: ["ams", "nrt"] }),
      counted: processApp("counted"),
      dead: processApp("dead", { command: "exit 7" }),
      crowd: processApp("crowd"),
    },
  });
});
after(() => node[Symbol.asyncDispose]());

/** Samples by name, as the text format has them. */
async function scrape(): Promise<Scrape> {
  const { status, headers, body } = await ask(Number(new URL(node.adminUrl).port), "admin", "/metrics");
  assert.equal(status, 200);
  assert.match(String(headers["content-type"]), /^text\/plain; version=0\.0\.4/);
  const samples = new Map<string, Sample[]>();
  for (const line of body.split("\n").filter((text) => text !== "" && !text.startsWith("#"))) {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)!;
    const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key!, text!]);
    const sample = { labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) };
    samples.set(name!, [...(samples.get(name!) ?? []), sample]);
  }
  return samples;
}

/** The sum of the samples with these labels. */
function sumOf(metrics: Scrape, name: string, labels: Readonly<Record<string, string>>): number {
  const matching = (metrics.get(name) ?? []).filter((sample) =>
    Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return matching.reduce((sum, { value }) => sum + value, 0);
}

describe("metrics", () => {
  test("have the names and labels of the reference", async () => {
    assert.equal((await identify(node.httpPort, "hello")).region, "ams");
    await new Promise((resolve, reject) => {
      const options = { port: node.httpsPort, host: "127.0.0.1", servername: "hello.localhost", ca: rootOf(node), agent: false };
      request({ ...options, headers: { host: "hello.localhost" } }, resolve)
        .on("error", reject)
        .end();
    });
    await new Promise((resolve) => {
      request({ port: node.httpsPort, host: "127.0.0.1", servername: "stranger.localhost", agent: false }, resolve)
        .on("error", resolve)
        .end();
    });
    const metrics = await scrape();
    const expected: Readonly<Record<string, readonly string[]>> = {
      fly_edge_http_responses_count: [...EDGE, "status"],
      fly_edge_http_response_time_seconds_bucket: [...EDGE, "le", "status"],
      fly_edge_http_response_time_seconds_sum: [...EDGE, "status"],
      fly_edge_http_response_time_seconds_count: [...EDGE, "status"],
      fly_edge_tcp_connects_count: EDGE,
      fly_edge_tcp_disconnects_count: EDGE,
      fly_edge_data_out: EDGE,
      fly_edge_tls_handshake_errors: ["host", "region", "servername"],
      fly_edge_tls_handshake_time_seconds_bucket: ["host", "le", "region", "resumed", "version"],
      fly_app_concurrency: MACHINE,
      fly_app_http_responses_count: [...MACHINE, "status"],
      fly_app_http_response_time_seconds_bucket: [...MACHINE, "le", "status"],
      fly_app_connect_time_seconds_bucket: [...MACHINE, "le"],
      fly_app_tcp_connects_count: MACHINE,
      kittiwake_wakes_total: [...EDGE, "result"],
      kittiwake_wake_time_seconds_bucket: ["app", "le", "region"],
      kittiwake_machines: [...EDGE, "state"],
      kittiwake_waiting_requests: ["host", "region"],
      kittiwake_client_connections: ["host", "region"],
    };
    for (const [name, labels] of Object.entries(expected)) {
      const [sample] = metrics.get(name) ?? [];
      assert.ok(sample, `there is no ${name}`);
      assert.deepEqual(Object.keys(sample.labels).toSorted(), labels.toSorted(), name);
    }
    const [edge] = metrics.get("fly_edge_http_responses_count") ?? [];
    assert.deepEqual(edge?.labels, { app: "hello", region: "ams", host: "test-node", status: "200" });
    const { id: instance } = machineOf(node, "hello");
    assert.equal(sumOf(metrics, "fly_app_http_responses_count", { instance, region: "ams", status: "200" }), 2);
    assert.equal(sumOf(metrics, "kittiwake_machines", { app: "hello", region: "ams", state: "started" }), 1);
    assert.equal(sumOf(metrics, "kittiwake_machines", { app: "hello", region: "nrt", state: "created" }), 1);
  });

  test("count every response, byte, connection and wake once, whichever worker had it", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(node.httpPort, "counted", "/", { agent })));
    assert.ok(answers.every(({ status }) => status === 200));
    agent.destroy();
    await exchangeRaw(
      node.httpPort,
      "POST /x HTTP/1.1\r\nhost: counted.localhost\r\nconnection: close\r\ncontent-length: 100\r\n\r\n" + "x".repeat(100),
    );
    const app = { app: "counted" };
    await eventually(async () => sumOf(await scrape(), "fly_edge_tcp_disconnects_count", app) === 9, "all connections to end");
    const metrics = await scrape();
    assert.equal(sumOf(metrics, "fly_edge_http_responses_count", { ...app, status: "200" }), 201);
    assert.equal(sumOf(metrics, "fly_edge_http_response_time_seconds_count", app), 201);
    assert.equal(sumOf(metrics, "fly_edge_http_response_time_seconds_bucket", { ...app, le: "+Inf" }), 201);
    assert.equal(sumOf(metrics, "fly_app_http_responses_count", { ...app, status: "200" }), 201);
    assert.equal(sumOf(metrics, "fly_edge_tcp_connects_count", app), 9);
    assert.equal(sumOf(metrics, "fly_edge_data_in", app), 100);
    const bodies = answers.reduce((sum, { body }) => sum + body.length, 0);
    assert.ok(sumOf(metrics, "fly_edge_data_out", app) > bodies);
    assert.equal(sumOf(metrics, "fly_app_tcp_connects_count", app), sumOf(metrics, "fly_app_connect_time_seconds_count", app));
    assert.equal(sumOf(metrics, "kittiwake_wakes_total", { ...app, region: "ams", result: "woken" }), 1);
    assert.equal(sumOf(metrics, "kittiwake_wake_time_seconds_count", app), 1);
    assert.equal(sumOf(metrics, "fly_app_concurrency", app), 0);
  });

  test("count what went wrong by its code", async () => {
    const before = await scrape();
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await ask(node.httpPort, "dead")).status));
    assert.deepEqual(new Set(statuses), new Set([503]));
    await ask(node.httpPort, "nobody");
    await exchangeRaw(node.httpPort, "nonsense\r\n\r\n");
    const metrics = await scrape();
    const grown = (name: string, labels: Readonly<Record<string, string>>): number =>
      sumOf(metrics, name, labels) - sumOf(before, name, labels);
    assert.equal(grown("kittiwake_errors_total", { code: "wake_failed" }), 20);
    assert.equal(grown("kittiwake_errors_total", { code: "unknown_host" }), 1);
    assert.equal(grown("kittiwake_errors_total", { code: "bad_request_line" }), 1);
    assert.equal(grown("fly_edge_http_responses_count", { app: "dead", status: "503" }), 20);
    const failed = grown("kittiwake_wakes_total", { app: "dead", result: "failed" });
    assert.ok(failed >= 1 && failed < 20, `${failed}`);
  });

  test("show what waits and what is in flight, and are right again after a worker has died", async () => {
    const { id: instance } = machineOf(node, "crowd");
    await identify(node.httpPort, "crowd");
    const held = Array.from({ length: 10 }, () =>
      ask(node.httpPort, "crowd", "/hold").then(
        ({ status }) => status,
        () => null,
      ),
    );
    await eventually(() => node.node.control.inFlight(instance) === 10, "ten requests in flight");
    const during = await scrape();
    assert.equal(sumOf(during, "fly_app_concurrency", { instance }), 10);
    assert.ok(sumOf(during, "kittiwake_client_connections", {}) >= 10);

    node.node.crashWorker(0);
    await node.event("worker_replaced");
    await eventually(() => node.node.control.isReady(), "the replacement");
    await askMachine(machineOf(node, "crowd"), "/release");
    const answered = (await Promise.all(held)).filter((status) => status === 200).length;
    for (let times = 0; times < 20; times++) assert.equal((await ask(node.httpPort, "crowd")).status, 200);
    const metrics = await scrape();
    assert.equal(sumOf(metrics, "kittiwake_worker_restarts_total", {}), 1);
    assert.equal(sumOf(metrics, "fly_app_concurrency", { instance }), 0);
    // The first one was reported in the scrape before the crash, and those of the dead worker were never answered.
    assert.equal(sumOf(metrics, "fly_edge_http_responses_count", { app: "crowd", status: "200" }), 1 + answered + 20);
  });

  test("of connections are in the status too, without anybody scraping", async () => {
    const agent = new Agent({ keepAlive: true });
    await identify(node.httpPort, "hello", "/", { agent });
    const connections = (): number => node.node.control.status().workers.reduce((sum, worker) => sum + worker.connections, 0);
    await eventually(() => connections() === 1, "the status to show the connection");
    agent.destroy();
    await eventually(() => connections() === 0, "the status to show that it ended");
  });
});
