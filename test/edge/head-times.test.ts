import assert from "node:assert/strict";
import { test } from "node:test";

import { Router } from "../../src/routing/router.ts";
import type { EdgeApp, EdgeService } from "../../src/edge/edge-app.ts";
import { HeadTimes } from "../../src/edge/head-times.ts";

const DEFAULT_MS = 10_000;

/** An app with one HTTP service on a port; what else belongs to one does not matter here. */
function app(name: string, start: number, headTimeoutMs: number | null): EdgeApp {
  const http = headTimeoutMs === null ? null : { headTimeoutMs };
  const service = { protocol: "tcp", ports: [{ start, end: start + 9, handlers: ["http"], http }] };
  return { name, hostnames: [`${name}.localhost`], services: [service] } as unknown as EdgeApp;
}

function heads(...apps: EdgeApp[]): HeadTimes {
  const router = new Router<EdgeService, EdgeApp>();
  for (const one of apps) router.set(one);
  return new HeadTimes(router, DEFAULT_MS);
}

test("a name leads to what its app says, whatever others on the port say", () => {
  const times = heads(app("quick", 443, 1000), app("slow", 443, 30_000), app("plain", 443, null), app("zero", 443, 0));
  const ms = (name: string): number => times.ms(443, `${name}.localhost`);
  assert.deepEqual([ms("quick"), ms("slow"), ms("plain"), ms("zero")], [1000, 30_000, DEFAULT_MS, DEFAULT_MS]);
});

test("without a name the most patient app on the port decides, and one without a word has the node's patience", () => {
  assert.equal(heads(app("a", 80, 1000), app("b", 80, 2000), app("elsewhere", 8000, null)).ms(85, null), 2000);
  assert.equal(heads(app("a", 80, 1000), app("b", 80, null)).ms(80, null), DEFAULT_MS);
  assert.equal(heads(app("a", 80, 1000)).ms(80, "unknown.localhost"), 1000);
});

test("a port without an app, and a name without a service on the port, have the node's patience", () => {
  assert.equal(heads().ms(80, null), DEFAULT_MS);
  assert.equal(heads(app("a", 80, 1000)).ms(443, "a.localhost"), DEFAULT_MS);
});

test("what was found for a port is forgotten when an app changes", () => {
  const router = new Router<EdgeService, EdgeApp>();
  const times = new HeadTimes(router, DEFAULT_MS);
  router.set(app("a", 80, 1000));
  assert.equal(times.ms(80, null), 1000);
  router.set(app("a", 80, 3000));
  times.forget();
  assert.equal(times.ms(80, null), 3000);
});
