// How a table of requests becomes tests: each case in one piece and cut at every position, always with the same result.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { RequestLimits } from "../../../src/http/http1/request-decoder.ts";
import { cuts, latin1, readRequests, type ReadRequest } from "./readers.ts";

export interface AcceptedCase {
  readonly title: string;
  readonly bytes: string;
  /** What matters of each request, in order. All must be complete unless said otherwise. */
  readonly requests: readonly Partial<ReadRequest>[];
}

export interface RefusedCase {
  readonly title: string;
  readonly bytes: string;
  readonly code: string;
  readonly limits?: RequestLimits;
}

export const HOST = "Host: example.com\r\n";

/** A GET with these further lines. */
export const get = (...lines: string[]): string => `GET / HTTP/1.1\r\n${HOST}${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
/** A POST with a chunked body. */
export const chunked = (body: string): string => `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${body}`;
export const withTarget = (target: string, method = "GET"): string => `${method} ${target} HTTP/1.1\r\n${HOST}\r\n`;
export const withHost = (value: string): string => `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`;

export function testAccepted(groups: Readonly<Record<string, readonly AcceptedCase[]>>): void {
  for (const [group, cases] of Object.entries(groups)) {
    describe(`accepted: ${group}`, () => {
      for (const { title, bytes, requests } of cases) test(title, () => assertAccepted(bytes, requests));
    });
  }
}

export function testRefused(groups: Readonly<Record<string, readonly RefusedCase[]>>): void {
  for (const [group, cases] of Object.entries(groups)) {
    describe(`refused: ${group}`, () => {
      for (const { title, bytes, code, limits } of cases) {
        test(`${title}: ${code}`, () => {
          const whole = readRequests([latin1(bytes)], limits);
          assert.equal(whole.error, code);
          assert.ok(
            whole.requests.every((request) => !request.isComplete),
            "a request was taken for complete",
          );
          for (const pieces of cuts(latin1(bytes))) assert.deepEqual(readRequests(pieces, limits), whole, describeCut(pieces));
        });
      }
    });
  }
}

function assertAccepted(bytes: string, requests: readonly Partial<ReadRequest>[]): void {
  const whole = readRequests([latin1(bytes)]);
  assert.equal(whole.error, null);
  assert.equal(whole.requests.length, requests.length);
  for (const [index, request] of requests.entries()) {
    const expected: Partial<ReadRequest> = { isComplete: true, ...request };
    const actual = whole.requests[index]!;
    for (const key of Object.keys(expected) as (keyof ReadRequest)[])
      assert.deepEqual(actual[key], expected[key], `${key} of request ${index}`);
  }
  for (const pieces of cuts(latin1(bytes))) assert.deepEqual(readRequests(pieces), whole, describeCut(pieces));
}

function describeCut(pieces: readonly Buffer[]): string {
  return pieces.length === 2 ? `cut behind byte ${pieces[0]!.length}` : "byte by byte";
}
