import assert from "node:assert/strict";
import { test } from "node:test";

import { errorShape, type ErrorShape } from "../../src/edge/error-shape.ts";

const CASES: readonly (readonly [who: string, accept: string | null, shape: ErrorShape])[] = [
  ["a client that says nothing", null, "text"],
  ["one that says less than nothing", "", "text"],
  ["curl, and fetch", "*/*", "text"],
  ["Chromium", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "html"],
  ["Firefox", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"],
  ["a browser loading an image", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "text"],
  ["axios", "application/json, text/plain, */*", "json"],
  ["jQuery", "application/json, text/javascript, */*; q=0.01", "json"],
  ["a client of an API with a type of its own", "application/vnd.api+json", "json"],
  ["a client that knows problems", "application/problem+json, application/json;q=0.9", "json"],
  ["HTMX", "text/html, */*", "html"],
  ["lynx", "text/html, text/plain, text/sgml, */*;q=0.01", "html"],
  ["one that wants XHTML", "application/xhtml+xml", "html"],
  ["one that wants JSON rather than HTML", "text/html;q=0.5, application/json", "json"],
  ["one that wants HTML rather than JSON", "text/html, application/json;q=0.9", "html"],
  ["one that wants any text", "text/*", "text"],
  ["one that wants anything of applications", "application/*", "json"],
  ["one that wants anything but plain text", "text/plain;q=0, */*", "json"],
  ["one that wants everything more than HTML", "text/html;q=0.1, */*;q=0.9", "text"],
  ["one that refuses HTML", "text/html;q=0", "text"],
  ["one that refuses all", "*/*;q=0", "text"],
  ["one that wants none of the three", "image/png", "text"],
  ["one that shouts", "TEXT/HTML", "html"],
  ["one whose weight is nonsense", "text/html;q=high, application/json;q=0.1", "json"],
];

for (const [who, accept, shape] of CASES) test(`${who} gets ${shape}`, () => assert.equal(errorShape(accept), shape));
