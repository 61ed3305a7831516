// Dynamic updates against BIND's named. Needs named (bind9).

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { ask } from "../../../src/certs/dns/exchange.ts";
import type { Address } from "../../../src/core/app.ts";
import { findNameServers } from "../../../src/certs/dns/propagation.ts";
import { Rfc2136, type Rfc2136Options } from "../../../src/certs/dns/rfc2136.ts";
import type { TsigKey } from "../../../src/certs/dns/tsig.ts";
import type { NameDaemon } from "../../support/name-daemon.ts";
import { newKey, startBind, WITHOUT_NAMED, type NamedKey } from "../../support/named.ts";

const NAME = "_acme-challenge.www.dyn.test";
const signal = AbortSignal.timeout(55_000);

describe("dynamic updates of named", { skip: WITHOUT_NAMED }, () => {
  for (const algorithm of ["hmac-sha256", "hmac-sha384", "hmac-sha512"]) {
    test(`are signed with ${algorithm}`, async () => {
      const key = newKey("kittiwake", algorithm);
      await using named = await startBind({ "dyn.test": { policy: allow(key) } }, [key]);
      const provider = providerFor(named, key);
      await provider.present(NAME, "value", signal);
      assert.deepEqual(await textsAt(named), ["value"]);
      await provider.cleanup(NAME, "value", signal);
      assert.deepEqual(await textsAt(named), []);
    });
  }

  test("leave other values of the name alone, and may be made twice", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ "dyn.test": { policy: allow(key), records: ["_acme-challenge.www TXT theirs"] } }, [key]);
    const provider = providerFor(named, key);
    await Promise.all(["one", "two", "one"].map((value) => provider.present(NAME, value, signal)));
    assert.deepEqual((await textsAt(named)).toSorted(), ["one", "theirs", "two"]);
    await provider.cleanup(NAME, "one", signal);
    await provider.cleanup(NAME, "one", signal);
    assert.deepEqual((await textsAt(named)).toSorted(), ["theirs", "two"]);
  });

  test("find the zone that a name is in, the closest one", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ test: {}, "dyn.test": { policy: allow(key) } }, [key]);
    await providerFor(named, key, { zone: null }).present(NAME, "value", signal);
    assert.deepEqual(await textsAt(named), ["value"]);
    await assert.rejects(providerFor(named, key, { zone: null }).present("_acme-challenge.elsewhere.org", "value", signal), {
      code: "certificate_unavailable",
      message: /has no zone that "_acme-challenge.elsewhere.org" is in/,
    });
  });

  test("say what is wrong with the key in plain words", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ "dyn.test": { policy: allow(key) } }, [key]);
    const problems: [Partial<TsigKey>, Partial<Rfc2136Options>, RegExp][] = [
      [{ name: "another" }, {}, /it does not know the key "another" with hmac-sha256 \(BADKEY\)$/],
      [{ secret: newKey("kittiwake").secret }, {}, /it has another secret for the key "kittiwake" \(BADSIG\)$/],
      [
        {},
        { now: () => Date.now() - 3_600_000 },
        /its clock is 3(?:599|600|601) s ahead of ours, more than a signature allows \(BADTIME\)$/,
      ],
    ];
    for (const [wrongKey, options, message] of problems) {
      const provider = providerFor(named, { ...key, ...wrongKey }, options);
      await assert.rejects(provider.present(NAME, "value", signal), { code: "certificate_unavailable", message });
    }
    assert.deepEqual(await textsAt(named), []);
  });

  test("say what the server refuses", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ "dyn.test": {}, "other.test": { policy: allow(key) } }, [key]);
    await assert.rejects(providerFor(named, key).present(NAME, "value", signal), {
      message: /its policy must allow this key .*\(REFUSED\)$/,
    });
    await assert.rejects(providerFor(named, key, { zone: "www.dyn.test" }).present(NAME, "value", signal), { message: /\(NOTAUTH\)$/ });
    await assert.rejects(providerFor(named, key, { zone: "other.test" }).present(NAME, "value", signal), { message: /\(NOTZONE\)$/ });
  });

  test("are not believed to be done when somebody changes the answer, or makes it up", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ "dyn.test": {} }, [key]);
    const changes: [(answer: Buffer) => Buffer, RegExp][] = [
      // REFUSED becomes NOERROR
      [(answer) => (answer.writeUInt8(answer.readUInt8(3) & 0xf0, 3), answer), /the signature of its answer is wrong$/],
      [
        (answer) => (answer.writeUInt8(answer.readUInt8(answer.length - 20) ^ 1, answer.length - 20), answer),
        /the signature of its answer is wrong$/,
      ],
      [(answer) => Buffer.concat([answer.subarray(0, 2), Buffer.of(0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0)]), /its answer is not signed$/],
      [
        (answer) => Buffer.concat([answer.subarray(0, 2), Buffer.of(0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0)]),
        /its answer is not that to an update$/,
      ],
      [(answer) => (answer.writeUInt16BE(0xffff, 4), answer), /its answer cannot be read$/],
      [(answer) => (answer.writeUInt16BE(answer.readUInt16BE(0) ^ 1, 0), answer), /it sent something else than an answer$/],
      [() => Buffer.alloc(0), /it sent something else than an answer$/],
    ];
    for (const [change, message] of changes) {
      await using between = await Between.start(named, change);
      const provider = providerFor(between, key);
      await assert.rejects(provider.present(NAME, "value", signal), { code: "certificate_unavailable", message });
    }
  });

  test("do not take a name that is a CNAME record for one that can have values", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ "dyn.test": { policy: allow(key), records: ["_acme-challenge.www CNAME else"] } }, [key]);
    await assert.rejects(providerFor(named, key, { zone: null }).present(NAME, "value", signal), {
      message: /is a CNAME record to "else\.dyn\.test" .* and can have no TXT record/,
    });
  });

  test("are done when every server of the zone shows the value, and name the one that does not", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ "dyn.test": { policy: allow(key) } }, [key]);
    await using stale = await startBind({ "dyn.test": {} });
    const found = { findServers: async () => [{ name: "ns.example.org", addresses: [stale.address, named.address] }] };
    await providerFor(named, key, found).present(NAME, "value", signal);
    const provider = providerFor(named, key, { nameServers: [named.address, stale.address], propagationMs: 300 });
    const { port } = stale.address;
    await assert.rejects(provider.present(NAME, "value", signal), {
      code: "certificate_unavailable",
      message: `the TXT record "${NAME}" is not seen after 0.3 s at 127.0.0.1:${port} (it answers NXDOMAIN)`,
    });
  });

  test("look for the value at the servers that the zone names", async () => {
    const records = ["@ NS ns1", "@ NS NS2", "ns1 A 192.0.2.1", "ns1 AAAA 2001:db8::1", "ns2 A 192.0.2.2"];
    await using named = await startBind({ "dyn.test": { records } });
    const found = await findNameServers("dyn.test", named.address, signal);
    const addresses = found.map(({ name, addresses: own }) => [name, own.map(({ host, port }) => `${host} ${port}`).toSorted()]);
    assert.deepEqual(addresses.toSorted(), [
      // Of a zone that nobody here knows
      ["ns.invalid", []],
      ["ns1.dyn.test", ["192.0.2.1 53", "2001:db8::1 53"]],
      ["ns2.dyn.test", ["192.0.2.2 53"]],
    ]);
    await assert.rejects(findNameServers("www.dyn.test", named.address, signal), {
      message: /has no NS records for the zone "www\.dyn\.test"$/,
    });
  });

  test("end when they are given up, and when nobody answers", async () => {
    const key = newKey("kittiwake");
    await using named = await startBind({ "dyn.test": { policy: allow(key) } }, [key]);
    await using stale = await startBind({ "dyn.test": {} });
    const givenUp = new AbortController();
    const findServers = async () => {
      setImmediate(() => givenUp.abort(new Error("the order was given up")));
      return [{ name: "ns", addresses: [stale.address] }];
    };
    await assert.rejects(providerFor(named, key, { findServers }).present(NAME, "value", givenUp.signal), {
      message: "the order was given up",
    });
    const { address } = stale;
    await stale[Symbol.asyncDispose]();
    await assert.rejects(providerFor({ address }, key).present(NAME, "value", signal), {
      message: /cannot be asked: connect ECONNREFUSED/,
    });
  });
});

function allow({ name }: NamedKey): string {
  return `update-policy { grant ${name} zonesub TXT; };`;
}

function providerFor({ address }: Pick<NameDaemon, "address">, key: NamedKey, options: Partial<Rfc2136Options> = {}): Rfc2136 {
  const known = { server: address, key: key as TsigKey, zone: "dyn.test", ttlS: 60 };
  return new Rfc2136({
    ...known,
    nameServers: "findServers" in options ? [] : [address],
    propagationMs: 10_000,
    now: Date.now,
    ...options,
  });
}

async function textsAt({ address }: NameDaemon): Promise<string[]> {
  const { answers = [] } = await ask(address, { name: NAME, type: "TXT" }, signal);
  return answers.flatMap((record) => (record.type === "TXT" && Array.isArray(record.data) ? [record.data.map(String).join("")] : []));
}

/** Changes the answers of a server on their way. */
class Between implements AsyncDisposable {
  readonly address: Address;
  readonly #end: () => Promise<void>;

  private constructor(address: Address, end: () => Promise<void>) {
    this.address = address;
    this.#end = end;
  }

  static async start({ address }: NameDaemon, change: (answer: Buffer) => Buffer): Promise<Between> {
    const server = createServer((client) => {
      const origin = connect(address);
      client.pipe(origin);
      client.on("error", () => origin.destroy());
      let held: Buffer = Buffer.alloc(0);
      origin.on("data", (chunk: Buffer) => {
        held = Buffer.concat([held, chunk]);
        if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) return;
        const answer = change(held.subarray(2));
        client.end(Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 0xff), answer]));
        origin.destroy();
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const end = async () => void (await once(server.close(), "close"));
    return new Between({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }, end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}
