// What the tool that everybody asks with makes of our server. Needs dig (bind9-dnsutils).

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { LABEL, RunningDns, ZONE } from "./running-server.ts";

const run = promisify(execFile);
const LONG = Array.from({ length: 30 }, (_, i) => `${i}`.padStart(43, "v"));

describe("dig", { skip: spawnSync("dig", ["-v"]).error === undefined ? false : "needs dig (apt-get install bind9-dnsutils)" }, () => {
  test("reads the values at a label", async () => {
    await using dns = await RunningDns.start();
    const printed = await dig(dns, "TXT", `${LABEL}.${ZONE}`);
    assert.match(printed, /status: NOERROR/);
    assert.match(printed, /flags: qr aa rd;/);
    assert.match(printed, /IN\s+TXT\s+"first value"/);
    assert.match(printed, /IN\s+TXT\s+"second value"/);
    assert.doesNotMatch(printed, /WARNING(?!: recursion requested but not available)|malformed|Warning/);
  });

  test("asks again by TCP when an answer is truncated", async () => {
    await using dns = await RunningDns.start({ lookup: () => LONG });
    const printed = await dig(dns, "TXT", `${LABEL}.${ZONE}`);
    assert.match(printed, /Truncated, retrying in TCP mode/);
    assert.equal([...printed.matchAll(/IN\s+TXT\s+"v+\d+"/g)].length, LONG.length);
  });

  test("sees a zone with an apex, and servers with addresses", async () => {
    await using dns = await RunningDns.start();
    assert.equal(await dig(dns, "SOA", ZONE, "+short"), `ns1.${ZONE}. hostmaster.${ZONE}. 1 3600 600 604800 0\n`);
    assert.equal(await dig(dns, "NS", ZONE, "+short"), `ns1.${ZONE}.\nns.example.com.\n`);
    assert.equal(await dig(dns, "AAAA", `ns1.${ZONE}`, "+short"), "2001:db8::1\n");
    assert.match(await dig(dns, "A", `none.${ZONE}`), /status: NXDOMAIN[\s\S]+AUTHORITY SECTION:\n\S+\s+0\s+IN\s+SOA/);
    assert.match(await dig(dns, "HTTPS", `ns1.${ZONE}`), /status: NOERROR[\s\S]+ANSWER: 0/);
    assert.match(await dig(dns, "ANY", `${LABEL}.${ZONE}`, "+notcp"), /HINFO\s+"RFC8482"/);
  });

  test("gets no transfer, and nothing of other zones", async () => {
    await using dns = await RunningDns.start();
    assert.match(await dig(dns, "AXFR", ZONE), /Transfer failed/);
    assert.match(await dig(dns, "A", "example.com"), /status: REFUSED/);
    assert.match(await dig(dns, "TXT", "version.bind", "-c", "CH"), /status: REFUSED/);
    assert.match(await dig(dns, "SOA", ZONE, "+edns=1", "+noednsneg"), /status: BADVERS/);
    assert.match(await dig(dns, "SOA", ZONE, "+opcode=NOTIFY"), /status: NOTIMP/);
  });
});

async function dig({ address }: RunningDns, type: string, name: string, ...options: readonly string[]): Promise<string> {
  const args = ["@127.0.0.1", "-p", String(address.port), "-t", type, "-q", name, "+tries=1", "+timeout=5", "+nocookie", ...options];
  return (await run("dig", args)).stdout;
}
