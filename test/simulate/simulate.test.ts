// A simulated fleet: every request comes to an end, troubles lose none that could be served, and a seed repeats the day.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { Directory, kittiwake } from "../cli/command.ts";

const APP = `app = "shop"
primary_region = "ams"
[processes]
app = "serve"
[http_service]
internal_port = 8080
auto_stop_machines = "suspend"
regions = ["ams", "nrt", "ord"]
[http_service.concurrency]
type = "requests"
[kittiwake]
idle_timeout = "1m"
`;
const SCENARIO = `app = "shop.toml"
duration = "6h"
[machine]
resumes_in = "300ms"
[[traffic]]
region = "ams"
requests_per_day = 4000
swing = 0
[[traffic]]
region = "nrt"
requests_per_day = 2000
swing = 0
`;

interface Result {
  readonly requests: number;
  readonly lost: number;
  readonly waited: number;
  readonly wakes: number;
  readonly machine_hours: number;
  readonly always_on_hours: number;
  readonly p99_ms: number;
  readonly regions: readonly { readonly region: string; readonly requests: number; readonly local: number }[];
  readonly course: readonly { readonly requests: number; readonly awake: number }[];
}

async function simulate(scenario: string, app = APP, ...args: readonly string[]): Promise<Result> {
  using directory = new Directory({ "shop.toml": app, "day.toml": scenario });
  const { code, stdout, stderr } = await kittiwake(["--json", "simulate", "day.toml", ...args], directory.path);
  assert.deepEqual([code, stderr], [0, ""]);
  return JSON.parse(stdout) as Result;
}

test("every request is served, and counted where it came in and when", async () => {
  const result = await simulate(SCENARIO);
  assert.equal(result.lost, 0);
  assert.ok(Math.abs(result.requests - 1500) < 4 * Math.sqrt(1500), String(result.requests));
  assert.equal(
    result.regions.reduce((sum, { requests }) => sum + requests, 0),
    result.requests,
  );
  // What is in flight at the end is not over.
  const arrived = result.course.reduce((sum, { requests }) => sum + requests, 0);
  assert.ok(arrived - result.requests >= 0 && arrived - result.requests < 10, `${arrived} arrived, ${result.requests} ended`);
  assert.ok(result.machine_hours > 0 && result.machine_hours < result.always_on_hours);
  assert.ok(result.course.every(({ awake }) => awake >= 0 && awake <= 3));
});

test("the same seed is the same day, another one another", async () => {
  const [one, same, other] = [await simulate(SCENARIO), await simulate(SCENARIO), await simulate(SCENARIO, APP, "--seed", "2")];
  assert.deepEqual(one, same);
  assert.notDeepEqual(one.course, other.course);
});

test("what never sleeps costs all there is, and nobody waits", async () => {
  const result = await simulate(SCENARIO, APP.replace('"suspend"', '"off"').replace('["ams", "nrt", "ord"]', '["ams"]'));
  assert.equal(result.wakes, 1);
  assert.ok(result.machine_hours > 0.99 * result.always_on_hours, String(result.machine_hours));
});

describe("troubles", () => {
  test("a machine that crashes: its requests go elsewhere", async () => {
    const result = await simulate(`${SCENARIO}[[failure]]\nmachine = "ams"\nat = "2h"\nlasts = "1h"\n`);
    assert.equal(result.lost, 0);
    assert.ok(result.regions[0]!.local < 0.95, "the others served them");
  });

  test("a region that is cut off has its own machine, and loses nothing", async () => {
    const result = await simulate(`${SCENARIO}[[partition]]\nregion = "nrt"\nat = "2h"\nlasts = "1h"\n`);
    assert.equal(result.lost, 0);
  });

  test("one without a machine of its own loses what nobody can serve", async () => {
    const result = await simulate(`${SCENARIO}[[partition]]\nregion = "nrt"\nat = "2h"\nlasts = "1h"\n`, APP.replace('"nrt", ', ""));
    assert.ok(result.lost > 50 && result.lost < 120, `${result.lost} lost of about 83`);
  });
});

test("the picture has a point for each part of the day", async () => {
  using directory = new Directory({ "shop.toml": APP, "day.toml": SCENARIO });
  const { code, stdout } = await kittiwake(["simulate", "day.toml", "--chart", "day.svg"], directory.path);
  assert.equal(code, 0);
  assert.match(stdout, /^all +\d+ +0 /m);
  const svg = readFileSync(join(directory.path, "day.svg"), "utf8");
  assert.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" /);
  const polygons = [...svg.matchAll(/points="([^"]*)"/g)].map(([, points]) => points!.split(" ").length);
  assert.deepEqual(polygons, [2 * 144 + 2, 2 * 144 + 2]);
});

describe("what is wrong with a scenario is told with file and line", () => {
  const cases: Readonly<Record<string, readonly [scenario: string, expected: RegExp]>> = {
    "an unknown key": [`${SCENARIO}colour = "red"\n`, /day\.toml:\d+ .*colour/],
    "no traffic": ['app = "shop.toml"\n', /day\.toml.*traffic/],
    "an unknown region": [
      SCENARIO.replace('region = "nrt"', 'region = "xyz"'),
      /day\.toml:\d+ traffic\[1\]\.region: there is no region "xyz"/,
    ],
    "an unknown machine": [`${SCENARIO}[[failure]]\nmachine = "lax"\nat = "1h"\n`, /the app has no machine "lax"; it has ams, nrt, ord/],
    "an app that is not there": [SCENARIO.replace("shop.toml", "none.toml"), /none\.toml/],
  };
  for (const [title, [scenario, expected]] of Object.entries(cases)) {
    test(title, async () => {
      using directory = new Directory({ "shop.toml": APP, "day.toml": scenario });
      const { code, stderr } = await kittiwake(["simulate", "day.toml"], directory.path);
      assert.equal(code, 2);
      assert.match(stderr, expected);
    });
  }
});

test("the reference scenario keeps its word: nobody is lost, hardly anybody waits, and most of the machine-hours are saved", async () => {
  const scenario = join(import.meta.dirname, "../../config/examples/simulate/reference.toml");
  const { code, stdout } = await kittiwake(["--json", "simulate", scenario], import.meta.dirname);
  assert.equal(code, 0);
  const result = JSON.parse(stdout) as Result;
  assert.equal(result.lost, 0);
  assert.ok(Math.abs(result.requests - 50_000) < 1000, String(result.requests));
  assert.ok(result.waited < 0.01, String(result.waited));
  assert.ok(result.machine_hours < 0.3 * result.always_on_hours, String(result.machine_hours));
});
