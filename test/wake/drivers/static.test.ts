// The static driver: addresses that are just there.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, test } from "node:test";

import type { LaunchSpec } from "../../../src/wake/driver.ts";
import { StaticDriver } from "../../../src/wake/drivers/static.ts";
import type { DriverHarness } from "../driver-contract.ts";
import { testDriverContract } from "../driver-contract.ts";
import { RecordedEvents } from "../recorded-events.ts";

class StaticHarness implements DriverHarness {
  readonly events = new RecordedEvents();
  readonly machine: LaunchSpec;
  readonly broken: LaunchSpec;
  driver = new StaticDriver();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.machine = spec({ address: { host: "127.0.0.1", port: (server.address() as AddressInfo).port } });
    this.broken = spec({ address: null });
  }

  static async open(): Promise<StaticHarness> {
    let count = 0;
    const server = createServer((_request, response) => response.end(String(++count))).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new StaticHarness(server);
  }

  async untilListening(): Promise<void> {}

  async reopen(): Promise<StaticDriver> {
    await this.driver.close();
    this.driver = new StaticDriver();
    return this.driver;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function spec(overrides: Partial<LaunchSpec>): LaunchSpec {
  const fixed = { id: "m1", app: "hello", name: "m1", group: "app", region: "ams", command: "", directory: "/", env: {} };
  return { ...fixed, internalPorts: [8080], address: null, killSignal: "SIGINT", killTimeoutMs: 5000, ...overrides };
}

testDriverContract("static", () => StaticHarness.open());

suite("a machine at a given address", () => {
  test("has its first service at the given port, further ones at their internal ports", async () => {
    const machine = spec({ internalPorts: [8080, 9090], address: { host: "10.0.0.7", port: 9000 } });
    assert.deepEqual((await new StaticDriver().start(machine)).addresses, {
      8080: { host: "10.0.0.7", port: 9000 },
      9090: { host: "10.0.0.7", port: 9090 },
    });
  });

  test("has no address where it has no service", async () => {
    const machine = spec({ internalPorts: [], address: { host: "10.0.0.7", port: 9000 } });
    assert.deepEqual((await new StaticDriver().start(machine)).addresses, {});
  });
});
