// Reference 7.1 as a client and an operator see it: what each state and each kind of check does to routing, and what the machine object shows.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { MachineObject } from "../../src/admin/machine-object.ts";
import { ask, machineOf, untilMachine } from "../support/apps.ts";
import { staticApp } from "../support/backend.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { response, ScriptedBackend } from "../support/scripted-backend.ts";

const TIMING = 'grace_period = "0s"\ninterval = "60s"\n';
/** The status that a check gets is in its path. */
const service = (status: number): string => `[[http_service.checks]]\npath = "/check/${status}"\n${TIMING}`;
const own = (name: string, status: number, more = ""): string =>
  `[checks.${name}]\ntype = "http"\npath = "/own/${status}"\n${TIMING}${more}`;
const READINESS = 'kind = "readiness"\n';

interface Row {
  readonly what: string;
  readonly checks: (port: number) => string;
  /** Names and states in the machine object. */
  readonly shown: string;
  readonly health: "passing" | "critical";
}

/** Each is an app whose nearest machine has these checks; another one, further off, has the same ones and fails none. */
const ROWS: Readonly<Record<string, Row>> = {
  none: { what: "No checks configured: the machine is routable as soon as started", checks: () => "", shown: "", health: "passing" },
  passing: {
    what: "Names and status values: a service check that passes",
    checks: () => service(204),
    shown: "servicecheck-00-http-8080 passing",
    health: "passing",
  },
  warning: {
    what: "Status values: a warning does not remove the machine",
    checks: () => service(429),
    shown: "servicecheck-00-http-8080 warning",
    health: "passing",
  },
  critical: {
    what: "Status values: a service check that fails removes it",
    checks: () => service(500) + service(200),
    shown: "servicecheck-00-http-8080 critical, servicecheck-01-http-8080 passing",
    health: "critical",
  },
  redirect: {
    what: "a redirect is not followed, and fails (reference 1.7)",
    checks: () => service(302),
    shown: "servicecheck-00-http-8080 critical",
    health: "critical",
  },
  informational: {
    what: "Names: a top-level check has its own, and does not remove it when it fails",
    checks: () => service(200) + own("status", 500),
    shown: "servicecheck-00-http-8080 passing, status critical",
    health: "passing",
  },
  readiness: {
    what: "a readiness check removes it when it fails",
    checks: () => service(200) + own("ready", 500, READINESS),
    shown: "servicecheck-00-http-8080 passing, ready critical",
    health: "critical",
  },
  ready: { what: "a readiness check that passes", checks: () => own("ready", 200, READINESS), shown: "ready passing", health: "passing" },
  elsewhere: {
    what: "Runner: a top-level check of a port that no service has",
    checks: (port) => own("sidecar", 200, `port = ${port}\n`),
    shown: "sidecar passing",
    health: "passing",
  },
};

let near: ScriptedBackend;
let far: ScriptedBackend;
let node: TestNode;

before(async () => {
  near = await ScriptedBackend.start((request) => {
    const status = /^\/(?:check|own)\/(\d+)$/.exec(request.target)?.[1] ?? "200";
    return response("near", ["location: /check/200"], `${status} Said`);
  });
  far = await ScriptedBackend.start(() => response("far"));
  const other = `[[kittiwake.machines]]\nid = "__ID__"\nregion = "nrt"\naddress = "127.0.0.1:${far.port}"\n`;
  const apps = Object.entries(ROWS).map(([name, { checks }]) => {
    return [name, staticApp(name, near.port, other.replace("__ID__", `${name}-2`) + checks(far.port))];
  });
  node = await startTestNode({ apps: Object.fromEntries(apps) as Record<string, string> });
  const answered = ({ checks }: { readonly checks: readonly { readonly updatedAtMs: number }[] }): boolean =>
    checks.every(({ updatedAtMs }) => updatedAtMs > 0);
  for (const [name, { shown }] of Object.entries(ROWS)) {
    for (const region of ["ams", "nrt"]) {
      await untilMachine(
        node,
        name,
        (machine) => machine.checks.length === (shown === "" ? 0 : shown.split(", ").length) && answered(machine),
        region,
      );
    }
  }
  await node.settle();
});

after(async () => {
  await node[Symbol.asyncDispose]();
  await near[Symbol.asyncDispose]();
  await far[Symbol.asyncDispose]();
});

async function machineObject(app: string): Promise<MachineObject> {
  const { body } = await ask(Number(new URL(node.adminUrl).port), "admin", `/v1/apps/${app}/machines/${app}-1`);
  return JSON.parse(body) as MachineObject;
}

describe("reference 7.1, over sockets", () => {
  for (const [name, { what, shown, health }] of Object.entries(ROWS)) {
    test(`${what}`, async () => {
      const { checks, kittiwake, state } = await machineObject(name);
      assert.equal(checks.map((check) => `${check.name} ${check.status}`).join(", "), shown);
      assert.equal(kittiwake.health, health);
      assert.equal(state, "started", "Restart on failure: never");
      using client = await RawClient.connect(node.httpPort);
      const answer = await client.send(`GET / HTTP/1.1\r\nhost: ${name}.localhost\r\n\r\n`).response();
      assert.deepEqual([answer.status, answer.body], [200, health === "critical" ? "far" : "near"]);
      assert.equal(answer.header("kittiwake-panic"), null);
    });
  }

  test("Fields: name, status, output and updated_at, which is when the status changed last", async () => {
    const [check] = (await machineObject("critical")).checks;
    assert.deepEqual(Object.keys(check!), ["name", "status", "output", "updated_at"]);
    assert.equal(check!.output, `HTTP GET http://127.0.0.1:${near.port}/check/500: 500 Internal Server Error`);
    assert.equal(Date.parse(check!.updated_at!), machineOf(node, "critical").checks[0]!.updatedAtMs);
  });

  test("Runner: the Host header is address and port; and the machine's config tells the kind of its own checks", async () => {
    const probes = near.requests.filter(({ target }) => target !== "/");
    assert.ok(probes.length > 0);
    assert.deepEqual(new Set(probes.map((request) => request.header("host"))), new Set([`127.0.0.1:${near.port}`]));
    const { config } = await machineObject("readiness");
    assert.deepEqual(config.checks["ready"], {
      port: 8080,
      kind: "readiness",
      type: "http",
      interval: "1m",
      timeout: "2s",
      grace_period: "0s",
      method: "GET",
      path: "/own/500",
      protocol: "http",
    });
  });
});
