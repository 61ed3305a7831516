import assert from "node:assert/strict";
import { test } from "node:test";

import { ErrorPages } from "../../src/edge/error-pages.ts";

const FACTS = { code: "some_code", requestId: "ID" };

test("the page of a status goes before that of its class, and that before the default", () => {
  const pages = new ErrorPages({ 503: "exact", "5xx": "class", default: "rest" });
  const page = (status: number): string | null => pages.page({ ...FACTS, status });
  assert.deepEqual([page(503), page(502), page(404), page(431)], ["exact", "class", "rest", "rest"]);
});

test("a status without a page has none", () => {
  assert.equal(new ErrorPages({ "4xx": "class" }).page({ ...FACTS, status: 503 }), null);
});

test("placeholders are filled in as often as they come, and nothing else is touched", () => {
  const page = new ErrorPages({ default: "{{status}}{{code}} {{ request_id }}{{code}}{{Code}}{{other}}{{{status}}}$&{{status" });
  assert.equal(page.page({ ...FACTS, status: 500 }), "500some_code IDsome_code{{Code}}{{other}}{500}$&{{status");
});

test("what is filled in is escaped", () => {
  const page = new ErrorPages({ default: `<a title="{{request_id}}">` });
  assert.equal(page.page({ ...FACTS, requestId: `"'<&>`, status: 500 }), `<a title="&#34;&#39;&#60;&#38;&#62;">`);
});
