// What the cookie is called that keeps clients to machines of a service.

import assert from "node:assert/strict";
import { test } from "node:test";
import { stickyCookie } from "../../src/catalog/sticky-cookie.ts";
import { sampleApp, sampleService } from "../wake/sample-app.ts";

const restart = { policy: "never", retries: 0 } as const;
const app = sampleApp({ groups: ["web", "api"].map((name) => ({ name, command: "serve", restart })) });

for (const [groups, expected] of [
  [["web"], "kittiwake_sticky"],
  [["api"], "kittiwake_sticky_api"],
  [["web", "api"], "kittiwake_sticky_api_web"],
  [["api", "web"], "kittiwake_sticky_api_web"],
] as const) {
  test(`4.8 a service of ${groups.join(" and ")} has ${expected}`, () => {
    assert.equal(stickyCookie(app, sampleService({ groups })), expected);
  });
}
