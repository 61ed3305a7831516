// The table of codes in src/core/errors.ts and the one that people read, docs/errors.md, say the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { ADVICE } from "../src/core/advice.ts";
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
  const markdown = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");
  const documented = documentedCodes(markdown);

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

  test("gives the advice for every code as clients get it", () => {
    assert.deepEqual(documentedAdvice(markdown), Object.entries(ADVICE));
  });
});

describe("src/core/advice.ts", () => {
  test("is for people outside: one sentence, and nothing of machines, nodes and configuration for what an edge answers", () => {
    for (const [code, advice] of Object.entries(ADVICE)) assert.match(advice, /^[A-Z][^|<>]*\.$/, code);
    const ofTheEdge = Object.entries(ADVICE).slice(0, Object.keys(ADVICE).indexOf("app_not_found"));
    for (const [code, advice] of ofTheEdge) assert.doesNotMatch(advice, /machine|node|kittiwake|fly\.toml|port of the machine/i, code);
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
      // RFC 9110 section 15.6.6 and RFC 8441 make these a 5xx
      if (code === "version_not_supported" || code === "protocol_not_supported") continue;
      if (blame === "client") assert.ok(status === 0 || (status >= 400 && status < 500), code);
      if (blame === "upstream") assert.ok(status >= 500, code);
    }
  });
});

/** The rows of all tables whose first cell is a code, but for the last table. */
function documentedCodes(markdown: string): DocumentedCode[] {
  return rowsOf(markdown)
    .filter((cells) => cells.length > 2)
    .map((cells) => {
      assert.equal(cells.length, 6, cells.join());
      const [code = "", status = "", blame = "", retry = "", meaning = "", remedy = ""] = cells;
      return { code: code.replaceAll("`", ""), status, blame, retry, meaning, remedy };
    });
}

/** The rows of the last table, in its order. */
function documentedAdvice(markdown: string): [code: string, advice: string][] {
  const rows = rowsOf(markdown).filter((cells) => cells.length === 2);
  return rows.map(([code = "", advice = ""]) => [code.replaceAll("`", ""), advice]);
}

/** The cells of every row that begins with a code. */
function rowsOf(markdown: string): string[][] {
  const rows = markdown.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
