// A node as the admin API sees it, held in memory: two apps, four machines, and a note of what was asked of it.

import type { ExplainQuestion, CertificateControl, NodeControl, NodeStatus, ReloadResult } from "../../src/admin/control.ts";
import type { App } from "../../src/core/app.ts";
import { ProxyError } from "../../src/core/errors.ts";
import type { MachineRecord, MachineState } from "../../src/core/machine.ts";
import type { Explanation } from "../../src/routing/explain.ts";
import { sampleApp, sampleMachine, sampleService } from "../wake/sample-app.ts";

export const CHANGED_AT_MS = Date.UTC(2030, 0, 2, 3, 4, 5);

const CHECK = { name: "servicecheck-00-http-8080", intervalMs: 15_000, timeoutMs: 2000, gracePeriodMs: 1000 };

export const HELLO: App = sampleApp({
  services: [
    sampleService({
      concurrency: { type: "requests", softLimit: 20, hardLimit: 25 },
      checks: [
        {
          ...CHECK,
          type: "http",
          method: "GET",
          path: "/health",
          protocol: "http",
          tlsSkipVerify: false,
          tlsServerName: null,
          headers: {},
        },
      ],
    }),
    sampleService({ key: "tcp-9000", internalPort: 9000, groups: ["other"] }),
  ],
  machines: ["ams", "nrt", "ord"].map((region) => sampleMachine("hello", region)),
  env: { SECRET: "s3cret" },
});

const SLOW: App = sampleApp({ name: "slow", services: [], machines: [] });

/** A store of certificates with nothing in it. */
const NO_CERTIFICATES: CertificateControl = {
  list: async () => [],
  show: async (name) => {
    throw new ProxyError("certificate_not_found", `there is no certificate for "${name}"`);
  },
  import: async () => {
    throw new ProxyError("certificate_invalid", "there is no certificate in what was given");
  },
  export: ({ name }) => {
    throw new ProxyError("certificate_not_found", `there is no certificate for "${name}"`);
  },
  delete: async ({ name }) => {
    throw new ProxyError("certificate_not_found", `there is no certificate for "${name}"`);
  },
  renew: async (name) => {
    throw new ProxyError("certificate_unavailable", `no app declares "${name}"`);
  },
  revoke: async (name) => {
    throw new ProxyError("certificate_not_found", `"${name}" has no certificate of an ACME authority`);
  },
  rotateSecret: async () => ({ secretId: "0123abcd", sealed: 0, unopened: [] }),
};

export class SampleControl implements NodeControl {
  readonly certificates = NO_CERTIFICATES;
  /** `start hello nrt`, in order. */
  readonly asked: string[] = [];
  ready = true;
  /** What the next call of any kind throws. */
  failure: unknown = null;
  reloadResult: ReloadResult = { applied: true, messages: ["a warning"], added: ["new"], changed: [], removed: [] };
  readonly #records: MachineRecord[] = [
    record("ams", "started", { pid: 4711, addresses: { 8080: { host: "127.0.0.1", port: 31_000 } } }),
    record("nrt", "suspended", { reason: "idle" }),
    record("ord", "stopped"),
  ];

  status(): NodeStatus {
    return {
      node: "ams-1",
      region: "ams",
      version: "0.1.0",
      runtime: "v26.0.0",
      pid: 4242,
      startedAtMs: CHANGED_AT_MS,
      ready: this.ready,
      listeners: [{ scheme: "https", publicPort: 443, host: "127.0.0.1", port: 8443 }],
      workers: [{ index: 0, restarts: 1, connections: 7 }],
      apps: [{ name: "hello", hostnames: ["hello.localhost"], machines: 3, started: 1 }],
      waiting: 2,
    };
  }

  apps(): readonly App[] {
    return [HELLO, SLOW];
  }

  machines(app: string): readonly MachineRecord[] {
    this.#mayFail();
    if (!this.apps().some(({ name }) => name === app)) throw new ProxyError("app_not_found", `there is no app "${app}"`);
    return this.#records.filter((candidate) => candidate.app === app);
  }

  inFlight(machineId: string): number {
    return machineId === "hello-ams" ? 5 : 0;
  }

  async start(app: string, machineId: string): Promise<MachineRecord> {
    return await this.#change("start", app, machineId, "started");
  }

  async stop(app: string, machineId: string): Promise<MachineRecord> {
    return await this.#change("stop", app, machineId, "stopped");
  }

  async suspend(app: string, machineId: string): Promise<MachineRecord> {
    if (machineId === "hello-ord") throw new ProxyError("machine_state", "the machine is stopped");
    return await this.#change("suspend", app, machineId, "suspended");
  }

  explain({ url, region, client, headers, whatIf }: ExplainQuestion): Explanation {
    if (!url.includes("hello")) throw new ProxyError("app_not_found", `no app declares "${url}"`);
    const limits = { inFlight: 5, softLimit: 20, hardLimit: null };
    const machine = {
      id: "hello-ams",
      name: "ams",
      region: "ams",
      rttMs: 1,
      rttSource: "estimated",
      state: "started",
      health: "passing",
    } as const;
    return {
      url,
      region: region ?? "ams",
      host: "hello.localhost",
      publicPort: 443,
      app: "hello",
      service: "tcp-8080",
      internalPort: 8080,
      redirectsToHttps: false,
      rules: [
        { rule: "host", verdict: "hello.localhost" },
        { rule: "access", verdict: `${client} may come` },
        { rule: "what_if", verdict: JSON.stringify({ headers, ...whatIf }) },
      ],
      candidates: [{ ...machine, ...limits, eligible: true, reason: "up and has room" }],
      outcome: { action: "forward", machine: "hello-ams", reason: "nearest machine that is up" },
    };
  }

  async reload(): Promise<ReloadResult> {
    this.asked.push("reload");
    return this.reloadResult;
  }

  async metrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    return { contentType: "text/plain; version=0.0.4; charset=utf-8", text: "up 1\n" };
  }

  isReady(): boolean {
    return this.ready;
  }

  async #change(action: string, app: string, machineId: string, state: MachineState): Promise<MachineRecord> {
    this.#mayFail();
    this.asked.push(`${action} ${app} ${machineId}`);
    const index = this.#records.findIndex(({ id }) => id === machineId);
    return (this.#records[index] = { ...this.#records[index]!, state });
  }

  #mayFail(): void {
    const { failure } = this;
    this.failure = null;
    if (failure !== null) throw failure;
  }
}

function record(region: string, state: MachineState, changes: Partial<MachineRecord> = {}): MachineRecord {
  return {
    id: `hello-${region}`,
    app: "hello",
    name: region,
    group: "app",
    region,
    node: "ams-1",
    state,
    health: "passing",
    checks: [{ name: CHECK.name, kind: "service", status: "passing", output: "200 OK", updatedAtMs: CHANGED_AT_MS }],
    cordoned: false,
    addresses: {},
    pid: null,
    handle: null,
    configHash: "c0ffee",
    changedAtMs: CHANGED_AT_MS,
    reason: "",
    ...changes,
  };
}
