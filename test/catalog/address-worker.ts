// A thread that takes as much as it gets of what one address may have, for address-table.test.ts.

import { parentPort, workerData } from "node:worker_threads";

import { AddressTable } from "../../src/catalog/address-table.ts";
import { IP_WORDS, parseIp } from "../../src/core/ip-address.ts";

export interface AddressWorkerData {
  readonly buffer: SharedArrayBuffer;
  readonly worker: number;
  readonly ip: string;
  /** Requests and connections that all threads may have. */
  readonly most: number;
  readonly rounds: number;
}

if (parentPort !== null) {
  const { buffer, worker, ip, most, rounds } = workerData as AddressWorkerData;
  const table = new AddressTable(buffer, worker);
  const words = new Uint32Array(IP_WORDS);
  const family = parseIp(ip, words)!;
  const scope = table.scope("hello");
  let passed = 0;
  let connected = 0;
  for (let round = 0; round < rounds; round++) {
    // Time stands still, so this is all that they will ever have.
    if (table.take(scope, family, words, 1, most - 1, 1000) === 0) passed++;
    if (table.connect(scope, family, words, most, 1000) >= 0) connected++;
  }
  parentPort.postMessage({ passed, connected });
}
