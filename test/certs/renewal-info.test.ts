// Asking an authority when it wants a certificate renewed (RFC 9773), with answers of every kind.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { RenewalInfo, renewalId } from "../../src/certs/renewal-info.ts";
import { createLeaf, createRoot, createSelfSigned, createSigner } from "../../src/certs/sign.ts";
import { createPrivateKey } from "node:crypto";

/** RFC 9773, appendix A. */
const EXAMPLE = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
`;
const EXAMPLE_ID = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
const DIRECTORY = "https://ca.example.com/directory";
const BASE = "https://ca.example.com/renewal-info";
const { signal } = new AbortController();

interface Answers {
  readonly directory?: unknown;
  readonly info?: unknown;
}

function info(answers: Answers, asked: string[] = [], now: () => number = Date.now): RenewalInfo {
  const { directory = { renewalInfo: BASE } } = answers;
  const get = async (url: string) => {
    asked.push(url);
    return { data: url === DIRECTORY ? directory : answers.info, retryAfterMs: 21_600_000 };
  };
  return new RenewalInfo({ directory: DIRECTORY, get, now });
}

describe("the id of a certificate", () => {
  test("is that of the RFC's example", () => assert.equal(renewalId(EXAMPLE), EXAMPLE_ID));

  test("is had of every certificate that names its issuer's key", async () => {
    const validity = { notBefore: new Date(0), notAfter: new Date(86_400_000) };
    const root = await createRoot(validity);
    const leaf = await createLeaf("a.example.com", validity, createSigner(root.certificatePem, createPrivateKey(root.privateKeyPem)));
    assert.match(renewalId(leaf.certificatePem) ?? "", /^[A-Za-z0-9_-]{27}\.[A-Za-z0-9_-]+$/);
    assert.equal(renewalId((await createSelfSigned(validity)).certificatePem), null);
  });
});

describe("a suggestion", () => {
  const suggestedWindow = { start: "2030-01-02T00:00:00Z", end: "2030-01-03T04:00:00.5+02:00" };

  test("is the window, with its reason and when to ask again", async () => {
    const asked: string[] = [];
    const explanationURL = "https://ca.example.com/why";
    assert.deepEqual(await info({ info: { suggestedWindow, explanationURL } }, asked).suggestion(EXAMPLE, signal), {
      window: { startMs: Date.UTC(2030, 0, 2), endMs: Date.UTC(2030, 0, 3, 2, 0, 0, 500) },
      explanationUrl: explanationURL,
      retryAfterMs: 21_600_000,
    });
    assert.deepEqual(asked, [DIRECTORY, `${BASE}/${EXAMPLE_ID}`]);
  });

  test("is not spoilt by a reason that is no web address", async () => {
    const found = await info({ info: { suggestedWindow, explanationURL: "javascript:alert(1)" } }).suggestion(EXAMPLE, signal);
    assert.equal(found === "none" ? found : found.explanationUrl, null);
  });

  test("is none where the directory, or the certificate, knows nothing of it", async () => {
    const asked: string[] = [];
    assert.equal(await info({ directory: { newOrder: "https://ca.example.com/order" } }, asked).suggestion(EXAMPLE, signal), "none");
    const { certificatePem } = await createSelfSigned({ notBefore: new Date(0), notAfter: new Date(86_400_000) });
    assert.equal(await info({}, asked).suggestion(certificatePem, signal), "none");
    assert.deepEqual(asked, [DIRECTORY]);
  });

  for (const [title, answer] of [
    ["an empty window", { suggestedWindow: { start: suggestedWindow.start, end: suggestedWindow.start } }],
    ["a window that ends before it begins", { suggestedWindow: { start: suggestedWindow.end, end: suggestedWindow.start } }],
    ["no window", {}],
    ["times that are none", { suggestedWindow: { start: "soon", end: "later" } }],
    ["a text", "<html>"],
    ["nothing", null],
  ] as const) {
    test(`that is ${title} is no answer`, async () => {
      await assert.rejects(info({ info: answer }).suggestion(EXAMPLE, signal), { code: "certificate_unavailable" });
    });
  }

  test("is not asked for without TLS when the directory has it", async () => {
    const directory = { renewalInfo: "http://ca.example.com/renewal-info" };
    await assert.rejects(info({ directory }).suggestion(EXAMPLE, signal), { message: /from https/ });
  });

  test("asks for the directory once a day", async () => {
    const asked: string[] = [];
    let nowMs = 0;
    const one = info({ info: { suggestedWindow } }, asked, () => nowMs);
    await one.suggestion(EXAMPLE, signal);
    await one.suggestion(EXAMPLE, signal);
    assert.equal(asked.filter((url) => url === DIRECTORY).length, 1);
    nowMs += 86_400_000;
    await one.suggestion(EXAMPLE, signal);
    assert.equal(asked.filter((url) => url === DIRECTORY).length, 2);
  });
});
