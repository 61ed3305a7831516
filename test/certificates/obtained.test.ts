// Certificates of an ACME authority as clients meet them: the first handshake of a name, the authority being away, and a renewal under load.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AdminClient } from "../../src/admin/client.ts";
import { eventually } from "../support/eventually.ts";
import { AuthorityNode } from "./authority.ts";

const A = "a.example.com";
const B = "b.example.com";
/** That of the first byte, and of the certificate. Passed at once, so that nobody else has to hurry. */
const HANDSHAKE_MS = 60_000;

test("the first handshake of a name waits for its certificate, and so do all others", async () => {
  const { promise: opened, resolve: open } = Promise.withResolvers<null>();
  const holdOrders = ({ step }: { readonly step: string }) => (step === "newOrder" ? opened : null);
  await using node = await AuthorityNode.start({ hostnames: [A], workers: 2 }, (fake) => (fake.script = holdOrders));
  const waiting = Promise.all(Array.from({ length: 20 }, () => node.handshake(A)));
  await eventually(() => node.fake.count("newOrder") > 0, "the order");
  await using admin = new AdminClient({ url: node.test.adminUrl, token: null });
  const [status] = await admin.certificates();
  assert.equal(status?.hostname, A);
  assert.equal(status?.state, "missing");
  assert.notEqual(status?.next_attempt_at, null);
  open(null);
  assert.equal(new Set(await waiting).size, 1);
  assert.deepEqual(node.fake.issued, [A]);
});

test("a name that appears by a reload has its certificate before anyone asks", async () => {
  await using node = await AuthorityNode.start({ hostnames: [A] });
  await node.handshake(A);
  await node.declare(A, B);
  await eventually(() => node.fake.issued.length === 2, "the order");
  await node.handshake(B);
  assert.deepEqual(node.fake.issued, [A, B]);
});

test("private names are the local authority's, and strangers are nobody's", async () => {
  await using node = await AuthorityNode.start({ hostnames: [A] });
  await assert.rejects(node.handshake("hello.localhost"), /local issuer|self.signed|unable to verify/i);
  await assert.rejects(node.handshake("stranger.example.com"));
  await node.handshake(A);
  assert.deepEqual(node.fake.issued, [A]);
});

test("while the authority hangs, names with certificates are served, and one without is given up in time", async () => {
  await using node = await AuthorityNode.start({ hostnames: [A], tables: `[timeouts]\ntls_handshake = "${HANDSHAKE_MS}ms"` });
  await node.handshake(A);
  node.fake.script = () => "hang";
  await node.declare(A, B);
  const refused = assert.rejects(node.handshake(B), /closed|ECONNRESET|disconnected/i);
  for (let count = 0; count < 50; count++) await node.handshake(A);
  await node.test.endsAfter(HANDSHAKE_MS, refused);
  await node.handshake(A);
});

test("a name whose order failed is refused at once until it is tried again", async () => {
  await using node = await AuthorityNode.start({ hostnames: [A] }, (fake) => (fake.validate = () => "no such host"));
  await assert.rejects(node.handshake(A));
  const before = node.fake.orders.length;
  for (let count = 0; count < 5; count++) await assert.rejects(node.handshake(A));
  assert.equal(node.fake.orders.length, before);
  await using admin = new AdminClient({ url: node.test.adminUrl, token: null });
  const [status] = await admin.certificates();
  assert.equal(status?.state, "missing");
  assert.match(status?.last_error ?? "", /no such host/);
  assert.ok(Date.parse(status?.next_attempt_at ?? "") > Date.now());
});

test("a renewal under load fails no handshake, and every worker has the new certificate within a second", async () => {
  await using node = await AuthorityNode.start({ hostnames: [A], workers: 2 });
  const old = await node.handshake(A);
  await using admin = new AdminClient({ url: node.test.adminUrl, token: null });
  const seen: { readonly fingerprint: string; readonly startedMs: number }[] = [];
  const stopping = new AbortController();
  const client = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const startedMs = performance.now();
      seen.push({ fingerprint: await node.handshake(A), startedMs });
    }
  };
  const load = Promise.all(Array.from({ length: 4 }, client));
  await eventually(() => seen.length > 20, "load");
  await admin.renewCertificate(A);
  const renewedMs = performance.now();
  const ofLate = (): number => seen.filter(({ startedMs }) => startedMs > renewedMs + 1000).length;
  await eventually(() => ofLate() > 40, "load after the renewal");
  stopping.abort();
  await load;
  assert.ok(seen.some(({ fingerprint }) => fingerprint === old));
  // With two workers, forty connections in a row reach both.
  for (const { fingerprint, startedMs } of seen) if (startedMs > renewedMs + 1000) assert.notEqual(fingerprint, old);
  assert.deepEqual(node.fake.issued, [A, A]);
});

test("an operator has a certificate revoked, which is served until another one is there", async () => {
  await using node = await AuthorityNode.start({ hostnames: [A] });
  const old = await node.handshake(A);
  await using admin = new AdminClient({ url: node.test.adminUrl, token: null });
  const { promise: opened, resolve: open } = Promise.withResolvers<null>();
  node.fake.script = ({ step }) => (step === "newOrder" ? opened : null);
  await admin.revokeCertificate(A, "key_compromise");
  assert.deepEqual(node.fake.revoked, [{ certificatePem: node.fake.orders[0]!.certificatePem, reason: 1 }]);
  await eventually(() => node.fake.count("newOrder") === 2, "the order");
  assert.equal(await node.handshake(A), old);
  open(null);
  await eventually(async () => (await node.handshake(A)) !== old, "the new certificate");
  await assert.rejects(admin.revokeCertificate(A, "boredom"), { code: "bad_request" });
  await assert.rejects(admin.revokeCertificate("hello.localhost", "unspecified"), { code: "certificate_not_found" });
  await assert.rejects(admin.renewCertificate("stranger.example.com"), { code: "certificate_unavailable" });
});
