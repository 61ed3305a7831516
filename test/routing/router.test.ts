// Which app and which of its services a request is for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PLAIN_RULES, type Handler, type ServicePort } from "../../src/core/app.ts";
import { Router, type Routable, type RoutableApp } from "../../src/routing/router.ts";

interface Service extends Routable {
  readonly name: string;
}

type App = RoutableApp<Service>;

const port = (start: number, end = start, handlers: Handler[] = ["http"]): ServicePort => ({
  start,
  end,
  handlers,
  forceHttps: false,
  http: null,
  h2Backend: false,
  sessions: null,
  rules: PLAIN_RULES,
});
const app = (name: string, hostnames: string[], services: Service[] = []): App => ({ name, hostnames, services, clientAuth: null });

function routerOf(...apps: App[]): Router<Service, App> {
  const router = new Router<Service, App>();
  for (const one of apps) router.set(one);
  return router;
}

test("a host leads to the app that declares it, and an unknown one to none", () => {
  const router = routerOf(app("a", ["a.localhost", "example.com"]), app("b", ["b.localhost"]));
  assert.equal(router.match("example.com")?.name, "a");
  assert.equal(router.match("b.localhost")?.name, "b");
  for (const host of ["", "localhost", "c.localhost", "www.example.com", "com", "*.localhost", "__proto__", "constructor"]) {
    assert.equal(router.match(host), null, host);
  }
});

test("a wildcard leads to its app with every name one level below, but for those that another app declares", () => {
  const router = routerOf(app("a", ["a.localhost", "*.example.com"]), app("b", ["b.localhost", "shop.example.com"]));
  assert.equal(router.match("any.example.com")?.name, "a");
  assert.equal(router.match("shop.example.com")?.name, "b");
  for (const host of ["example.com", "a.b.example.com", ".example.com", "anyexample.com"]) {
    assert.equal(router.match(host), null, host);
  }
  router.set(app("a", ["a.localhost"]));
  assert.equal(router.match("any.example.com"), null);
});

test("an app that changes loses the hosts it no longer declares", () => {
  const router = routerOf(app("a", ["old", "kept"]));
  router.set(app("a", ["kept", "new"]));
  assert.deepEqual([router.match("old"), router.match("kept")?.name, router.match("new")?.name], [null, "a", "a"]);
  assert.equal([...router.apps].length, 1);
});

test("a host that moves from one app to another arrives, in whichever order the news comes", () => {
  const givenFirst = routerOf(app("a", ["h"]), app("b", []));
  givenFirst.set(app("b", ["h"]));
  givenFirst.set(app("a", []));
  assert.equal(givenFirst.match("h")?.name, "b");
  const takenFirst = routerOf(app("a", ["h"]), app("b", []));
  takenFirst.set(app("a", []));
  takenFirst.set(app("b", ["h"]));
  assert.equal(takenFirst.match("h")?.name, "b");
});

test("an app that is deleted is gone with its hosts", () => {
  const router = routerOf(app("a", ["h"]), app("b", ["i"]));
  router.delete("a");
  router.delete("unknown");
  assert.deepEqual([router.match("h"), router.app("a"), router.match("i")?.name], [null, undefined, "b"]);
});

test("the public port chooses the service, ranges and all", () => {
  const services: Service[] = [
    { name: "raw", protocol: "tcp", ports: [port(443, 443, []), port(5432, 5432, ["pg_tls"])] },
    { name: "web", protocol: "tcp", ports: [port(80), port(443, 443, ["http", "tls"])] },
    { name: "range", protocol: "tcp", ports: [port(8000, 8010)] },
    { name: "late", protocol: "tcp", ports: [port(80), port(8005)] },
  ];
  const one = app("a", ["h"], services);
  const router = routerOf(one);
  const nameAt = (at: number): string | undefined => router.route(one, at)?.service.name;
  assert.deepEqual([80, 443, 8000, 8005, 8010].map(nameAt), ["web", "web", "range", "range", "range"]);
  assert.deepEqual([79, 81, 5432, 7999, 8011].map(nameAt), [undefined, undefined, undefined, undefined, undefined]);
  assert.equal(router.route(one, 443)?.port, services[1]!.ports[1]);
});
