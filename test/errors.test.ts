// The table of codes in src/core/errors.ts and the one that people read, docs/errors.md, say the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { ERRORS } from "../src/core/errors.ts";

interface DocumentedCode {
  readonly code: string;
  readonly status: string;
  readonly blame: string;
  readonly retry: string;
  readonly meaning: string;
  readonly remedy: string;
}

describe("docs/errors.md", () => {
  const documented = documentedCodes(readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8"));

  test("has a row for every code, in the order of the table, and for no other", () => {
    assert.deepEqual(
      documented.map((row) => row.code),
      Object.keys(ERRORS),
    );
  });

  test("gives status, blame, retry and meaning as they are", () => {
    for (const { code, status, blame, retry, meaning } of documented) {
      const kind = ERRORS[code as keyof typeof ERRORS];
      const expected = {
        status: kind.status === 0 ? "-" : String(kind.status),
        blame: kind.blame,
        retry: kind.retry,
        meaning: kind.summary,
      };
      assert.deepEqual({ status, blame, retry, meaning }, expected, code);
    }
  });

  test("says for every code what to do", () => {
    for (const { code, remedy } of documented) assert.ok(remedy.length > 10, code);
  });
});

describe("src/core/errors.ts", () => {
  test("has codes in snake_case and summaries that are lower case, without a full stop", () => {
    for (const [code, { summary }] of Object.entries(ERRORS)) {
      assert.match(code, /^[a-z]+(?:_[a-z]+)*$/);
      assert.doesNotMatch(summary, /^[A-Z][a-z]|\.$/, code);
    }
  });

  test("has statuses that fit who is to blame: 4xx for clients, 5xx for machines", () => {
    for (const [code, { status, blame }] of Object.entries(ERRORS)) {
      if (code === "version_not_supported") continue; // RFC 9110 section 15.6.6 makes it a 5xx
      if (blame === "client") assert.ok(status === 0 || (status >= 400 && status < 500), code);
      if (blame === "upstream") assert.ok(status >= 500, code);
    }
  });
});

/** The rows of all tables whose first cell is a code. */
function documentedCodes(markdown: string): DocumentedCode[] {
  return markdown
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => {
      const cells = line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
      assert.equal(cells.length, 6, line);
      const [code = "", status = "", blame = "", retry = "", meaning = "", remedy = ""] = cells;
      return { code: code.replaceAll("`", ""), status, blame, retry, meaning, remedy };
    });
}
