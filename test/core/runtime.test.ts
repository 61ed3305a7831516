import assert from "node:assert/strict";
import { test } from "node:test";
import { runtimeWarning } from "../../src/core/runtime.ts";

for (const version of ["v26.10.0", "v26.12.1", "v26.13.0", "v25.99.9", "v20.19.0"]) {
  test(`Node ${version} is warned of, with what to do`, () => {
    assert.match(runtimeWarning(version)!, new RegExp(`^Node ${version} lacks .*26\\.13\\.1.*update`));
  });
}

for (const version of ["v26.13.1", "v26.13.2", "v26.14.0", "v27.0.0", "v28.0.0-nightly2026"]) {
  test(`Node ${version} is fine`, () => {
    assert.equal(runtimeWarning(version), null);
  });
}
