// Dynamic updates of another implementation than the one in rfc2136.named.test.ts: CZ.NIC's Knot. Needs knotd (knot).

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask } from "../../../src/certs/dns/exchange.ts";
import { Rfc2136 } from "../../../src/certs/dns/rfc2136.ts";
import type { TsigKey } from "../../../src/certs/dns/tsig.ts";
import { NameDaemon } from "../../support/name-daemon.ts";
import { newKey, type NamedKey } from "../../support/named.ts";

const NAME = "_acme-challenge.www.dyn.test";
const signal = AbortSignal.timeout(55_000);

describe(
  "dynamic updates of Knot",
  { skip: spawnSync("knotd", ["-V"]).error === undefined ? false : "needs knotd (apt-get install knot)" },
  () => {
    for (const algorithm of ["hmac-sha256", "hmac-sha384", "hmac-sha512"]) {
      test(`are signed with ${algorithm}, and leave other values alone`, async () => {
        const key = newKey("kittiwake", algorithm);
        await using knot = await startKnot(key);
        const provider = providerFor(knot, key);
        await provider.present(NAME, "one", signal);
        await provider.present(NAME, "two", signal);
        assert.deepEqual(await textsAt(knot), ["one", "two"]);
        await provider.cleanup(NAME, "one", signal);
        assert.deepEqual(await textsAt(knot), ["two"]);
      });
    }

    test("say what is wrong with the key in plain words", async () => {
      const key = newKey("kittiwake");
      await using knot = await startKnot(key);
      const problems: [TsigKey, number, RegExp][] = [
        [{ ...(key as TsigKey), name: "another" }, 0, /it does not know the key "another" with hmac-sha256 \(BADKEY\)$/],
        [newKey("kittiwake") as TsigKey, 0, /it has another secret for the key "kittiwake" \(BADSIG\)$/],
        [key as TsigKey, 3_600_000, /its clock is 3(?:599|600|601) s behind ours, more than a signature allows \(BADTIME\)$/],
      ];
      for (const [wrongKey, aheadMs, message] of problems) {
        await assert.rejects(providerFor(knot, wrongKey, aheadMs).present(NAME, "value", signal), {
          code: "certificate_unavailable",
          message,
        });
      }
      assert.deepEqual(await textsAt(knot), []);
    });
  },
);

function providerFor({ address }: NameDaemon, key: NamedKey, aheadMs = 0): Rfc2136 {
  const known = { server: address, key: key as TsigKey, zone: null, ttlS: 0, nameServers: [address] };
  return new Rfc2136({ ...known, propagationMs: 10_000, now: () => Date.now() + aheadMs });
}

async function textsAt({ address }: NameDaemon): Promise<string[]> {
  const { answers = [] } = await ask(address, { name: NAME, type: "TXT" }, signal);
  return answers.flatMap((record) => (record.type === "TXT" ? [String(record.data)] : [])).toSorted();
}

function startKnot({ name, algorithm, secret }: NamedKey): Promise<NameDaemon> {
  return NameDaemon.start({
    program: "knotd",
    describe: (directory, port) => {
      const configuration = [
        ...["server:", `  rundir: "${directory}"`, `  listen: "127.0.0.1@${port}"`, "  udp-workers: 1", "  tcp-workers: 1"],
        ...["log:", "  - target: stderr", "    any: info", "database:", `  storage: "${directory}"`],
        ...["key:", `  - id: ${name}`, `    algorithm: ${algorithm}`, `    secret: "${secret.toString("base64")}"`],
        ...["acl:", "  - id: update", `    key: ${name}`, "    action: update"],
        ...["zone:", "  - domain: dyn.test", `    storage: "${directory}"`, "    file: dyn.zone", "    acl: update", ""],
      ];
      const zone = "@ 5 SOA ns.example.org. root.example.org. 1 3600 600 86400 1\n@ 5 NS ns.example.org.\n";
      return { args: ["-c", join(directory, "knot.conf")], files: { "knot.conf": configuration.join("\n"), "dyn.zone": zone } };
    },
    ready: [/server started/, /\[dyn\.test\.\] (?:zone file )?loaded/],
  });
}
