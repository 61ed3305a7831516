// The contract suite of Driver: every implementation runs it, as far as its `canStart` and `canSuspend` reach.

import assert from "node:assert/strict";
import { get } from "node:http";
import { connect } from "node:net";
import { suite, test } from "node:test";

import type { Address } from "../../src/core/app.ts";
import type { Driver, LaunchSpec } from "../../src/wake/driver.ts";
import type { RecordedEvents } from "./recorded-events.ts";

export interface DriverHarness {
  readonly driver: Driver;
  readonly events: RecordedEvents;
  /** A machine that answers HTTP on each internal port: `/count` with how often it was asked that. */
  readonly machine: LaunchSpec;
  /** The same machine, made so that it cannot be started. */
  readonly broken: LaunchSpec;
  /** Resolves when the machine, once started, listens. */
  untilListening(): Promise<void>;
  /** What a restart of the node does: closes the driver, and opens another one over the same data. */
  reopen(): Promise<Driver>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One GET on a connection of its own. Rejects when nobody listens. */
export function ask(address: Address, path = "/count"): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ ...address, path, agent: false }, async (response) => {
      resolve((await response.setEncoding("utf8").toArray()).join(""));
    });
    request.once("error", reject);
  });
}

export function testDriverContract(name: string, open: () => Promise<DriverHarness>): void {
  suite(`the driver "${name}" keeps the contract`, { timeout: 20_000 }, () => {
    test("a started machine has an address for each of its internal ports and answers there", async () => {
      await using harness = await open();
      const { driver, machine } = harness;
      const launched = await driver.start(machine);
      await harness.untilListening();
      assert.deepEqual(Object.keys(launched.addresses).map(Number), machine.internalPorts);
      for (const address of Object.values(launched.addresses)) assert.match(await ask(address), /^\d+$/);
    });

    test("the handle survives being stored as JSON", async () => {
      await using harness = await open();
      const { handle } = await harness.driver.start(harness.machine);
      assert.deepEqual(JSON.parse(JSON.stringify(handle)), handle);
      assert.ok(Object.values(handle).every((value) => value === null || typeof value === "string" || typeof value === "number"));
    });

    test("a machine that cannot be started throws spawn_failed with the reason", async () => {
      await using harness = await open();
      await assert.rejects(harness.driver.start(harness.broken), {
        name: "ProxyError",
        code: "spawn_failed",
        message: new RegExp(harness.broken.name),
      });
    });

    test("a machine that runs is not started twice", async () => {
      await using harness = await open();
      const { driver, machine } = harness;
      if (!driver.canStart) return;
      await driver.start(machine);
      await assert.rejects(driver.start(machine), { code: "machine_state" });
    });

    test("stop ends the machine if the driver started it, reports no exit, and may be repeated", async () => {
      await using harness = await open();
      const { driver, machine, events } = harness;
      const { handle, addresses } = await driver.start(machine);
      await harness.untilListening();
      await driver.stop(machine, handle);
      await driver.stop(machine, handle);
      const address = firstAddress(addresses);
      if (driver.canStart) await assert.rejects(ask(address), { code: "ECONNREFUSED" });
      else assert.match(await ask(address), /^\d+$/);
      assert.deepEqual(events.exits, []);
    });

    test("a stopped machine can be started again", async () => {
      await using harness = await open();
      const { driver, machine, events } = harness;
      await driver.stop(machine, (await driver.start(machine)).handle);
      events.clear();
      const { addresses } = await driver.start(machine);
      await harness.untilListening();
      assert.match(await ask(firstAddress(addresses)), /^\d+$/);
    });

    test("a suspended machine answers nobody, and after its resume goes on where it was", async () => {
      await using harness = await open();
      const { driver, machine } = harness;
      const { handle, addresses } = await driver.start(machine);
      await harness.untilListening();
      const address = firstAddress(addresses);
      if (!driver.canSuspend) {
        await assert.rejects(driver.suspend(machine, handle), { code: "not_supported" });
        return;
      }
      assert.equal(await ask(address), "1");
      await driver.suspend(machine, handle);
      await driver.suspend(machine, handle);
      let isAnswered = false;
      const answer = ask(address).finally(() => (isAnswered = true));
      await untilConnected(address);
      assert.equal(isAnswered, false);
      await driver.resume(machine, handle);
      await driver.resume(machine, handle);
      assert.equal(await answer, "2");
    });

    test("a suspended machine can be stopped", async () => {
      await using harness = await open();
      const { driver, machine, events } = harness;
      if (!driver.canSuspend) return;
      const { handle, addresses } = await driver.start(machine);
      await harness.untilListening();
      await driver.suspend(machine, handle);
      await driver.stop(machine, handle);
      await assert.rejects(ask(firstAddress(addresses)), { code: "ECONNREFUSED" });
      assert.deepEqual(events.exits, []);
    });

    test("suspending or resuming a machine that is gone throws machine_state", async () => {
      await using harness = await open();
      const { driver, machine } = harness;
      if (!driver.canSuspend) return;
      const { handle } = await driver.start(machine);
      await driver.stop(machine, handle);
      await assert.rejects(driver.suspend(machine, handle), { code: "machine_state" });
      await assert.rejects(driver.resume(machine, handle), { code: "machine_state" });
    });

    test("a machine outlives the driver, and the next driver adopts it at the same addresses", async () => {
      await using harness = await open();
      const { driver, machine } = harness;
      const launched = await driver.start(machine);
      await harness.untilListening();
      const before = await ask(firstAddress(launched.addresses));
      const next = await harness.reopen();
      assert.deepEqual(await next.adopt(machine, launched.handle), { ...launched, state: "started" });
      assert.equal(Number(await ask(firstAddress(launched.addresses))), Number(before) + 1);
    });

    test("a suspended machine is adopted as suspended, and resumes", async () => {
      await using harness = await open();
      const { driver, machine } = harness;
      if (!driver.canSuspend) return;
      const { handle, addresses } = await driver.start(machine);
      await harness.untilListening();
      await driver.suspend(machine, handle);
      const next = await harness.reopen();
      assert.equal((await next.adopt(machine, handle))?.state, "suspended");
      await next.resume(machine, handle);
      assert.equal(await ask(firstAddress(addresses)), "1");
    });

    test("adopting a machine that never ran finds nothing, unless machines are just there", async () => {
      await using harness = await open();
      const adopted = await harness.driver.adopt(harness.machine, null);
      assert.equal(adopted?.state, harness.driver.canStart ? undefined : "started");
    });
  });
}

function firstAddress(addresses: Readonly<Record<number, Address>>): Address {
  const [address] = Object.values(addresses);
  assert.ok(address !== undefined);
  return address;
}

/** The kernel completes connections for a frozen listener: once a later one is through, an earlier request has been sent. */
async function untilConnected(address: Address): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(address.port, address.host, () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}
