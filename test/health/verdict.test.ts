import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { CheckResult, CheckStatus } from "../../src/core/machine.ts";
import { verdict } from "../../src/health/verdict.ts";

function result(status: CheckStatus, updatedAtMs = 1, kind: CheckResult["kind"] = "service"): CheckResult {
  return { name: "servicecheck-00-http-8080", kind, status, output: "", updatedAtMs };
}

const NOT_YET = result("critical", 0);

describe("reference 7.1: the verdict on a machine", () => {
  it("is passing without checks", () => {
    assert.equal(verdict([]), "passing");
  });

  it("is unknown until every check has answered", () => {
    assert.equal(verdict([NOT_YET]), "unknown");
    assert.equal(verdict([result("passing"), NOT_YET]), "unknown");
  });

  it("is critical as soon as one check failed", () => {
    assert.equal(verdict([result("critical"), NOT_YET]), "critical");
    assert.equal(verdict([result("passing"), result("critical")]), "critical");
  });

  it("is passing when all pass; a warning is no failure", () => {
    assert.equal(verdict([result("passing"), result("warning")]), "passing");
  });

  it("heeds readiness checks, and no informational ones", () => {
    assert.equal(verdict([result("passing"), result("critical", 1, "readiness")]), "critical");
    assert.equal(verdict([result("critical", 0, "readiness")]), "unknown");
    assert.equal(verdict([result("passing"), result("critical", 1, "informational")]), "passing");
    assert.equal(verdict([result("critical", 0, "informational")]), "passing");
  });
});
