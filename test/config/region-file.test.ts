// The operator's region file: what it may say, and how its mistakes are reported.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { formatProblem } from "../../src/config/problems.ts";
import { isRegionFile, readRegionFile, type RegionFile } from "../../src/config/region-file.ts";

const directory = mkdtempSync(join(tmpdir(), "kittiwake-regions-"));
after(() => rmSync(directory, { recursive: true }));

const path = join(directory, "regions.toml");

function read(text: string): RegionFile {
  writeFileSync(path, text);
  const result = readRegionFile(path, "regions.toml");
  return isRegionFile(result) ? result : assert.fail(result.map(formatProblem).join("\n"));
}

function problemsOf(text: string): string[] {
  writeFileSync(path, text);
  const result = readRegionFile(path, "regions.toml");
  return isRegionFile(result) ? assert.fail("the file was accepted") : result.map(formatProblem);
}

test("a region file adds regions, replaces built-in ones, and brings round trips", () => {
  const file = read(`
[[region]]
code = "home-lab"
name = "Attic"
country = "DE"
latitude = 52.4
longitude = 13

[[region]]
code = "ams"
name = "Almere"
country = "NL"
latitude = 52.35
longitude = 5.26

[[rtt]]
from = "home-lab"
to = "fra"
ms = 18.5
`);
  assert.deepEqual(file, {
    regions: [
      { code: "home-lab", name: "Attic", country: "DE", latitude: 52.4, longitude: 13 },
      { code: "ams", name: "Almere", country: "NL", latitude: 52.35, longitude: 5.26 },
    ],
    measured: [{ from: "home-lab", to: "fra", ms: 18.5 }],
  });
});

test("an empty region file is one", () => {
  assert.deepEqual(read(""), { regions: [], measured: [] });
});

test("both directions of a round trip may be given", () => {
  assert.equal(read('rtt = [{ from = "ams", to = "nrt", ms = 231 }, { from = "nrt", to = "ams", ms = 240 }]').measured.length, 2);
});

test("all mistakes are reported at once, with line and key", () => {
  const problems = problemsOf(`[[region]]
code = "Home"
name = "Attic"
country = "Germany"
latitude = 152.4
longitude = "13 E"
colour = "red"

[[rtt]]
from = "ams"
to = "fra"
ms = 0
`);
  assert.deepEqual(problems, [
    'regions.toml:2 region[0].code: expected a region code such as "ams", got "Home"',
    'regions.toml:4 region[0].country: expected two capital letters such as "NL", got "Germany"',
    "regions.toml:5 region[0].latitude: expected a number from -90 to 90, got 152.4",
    'regions.toml:6 region[0].longitude: expected a number from -180 to 180, got "13 E"',
    "regions.toml:7 region[0].colour: unknown key; known here: code, name, country, latitude and longitude",
    "regions.toml:12 rtt[0].ms: expected milliseconds above 0, at most 10000, got 0",
  ]);
});

test("a misspelt key gets a suggestion", () => {
  const [missing, unknown] = problemsOf('[[region]]\ncode = "x1"\nname = "X"\ncountry = "DE"\nlatitude = 1\nlongtude = 2\n');
  assert.equal(missing, "regions.toml:1 region[0].longitude: missing; expected a number from -180 to 180");
  assert.equal(unknown, "regions.toml:6 region[0].longtude: unknown key; did you mean longitude?");
});

test("a round trip between regions that do not exist is refused with the nearest code", () => {
  assert.deepEqual(problemsOf('[[rtt]]\nfrom = "amx"\nto = "attic"\nms = 3\n'), [
    'regions.toml:2 rtt[0].from: expected the code of a region, got "amx"; did you mean "ams"?',
    'regions.toml:3 rtt[0].to: expected the code of a region, got "attic"; add it as a [[region]]',
  ]);
});

test("a region or a round trip that is there twice is refused", () => {
  const home = 'code = "home"\nname = "Attic"\ncountry = "DE"\nlatitude = 1\nlongitude = 2\n';
  assert.deepEqual(problemsOf(`[[region]]\n${home}\n[[region]]\n${home}`), [
    'regions.toml:9 region[1].code: "home" is at regions.toml:2 already',
  ]);
  const rtt = '[[rtt]]\nfrom = "ams"\nto = "fra"\nms = 8\n';
  assert.deepEqual(problemsOf(rtt + rtt), ['regions.toml:5 rtt[1]: from "ams" to "fra" is at regions.toml:1 already']);
});

test("a file that is missing, or is no TOML, is a problem like any other", () => {
  const missing = readRegionFile(join(directory, "none.toml"), "none.toml");
  assert.ok(!isRegionFile(missing));
  assert.deepEqual(missing.map(formatProblem), ["none.toml: there is no such file"]);
  assert.match(problemsOf("[[region]]\ncode = \n")[0]!, /^regions\.toml:2: expected valid TOML/);
});

test("infinite and not-a-number values are refused", () => {
  assert.deepEqual(problemsOf('[[rtt]]\nfrom = "ams"\nto = "fra"\nms = inf\n'), [
    "regions.toml:4 rtt[0].ms: expected milliseconds above 0, at most 10000, got Infinity",
  ]);
  assert.equal(problemsOf('[[region]]\ncode = "x1"\nname = "X"\ncountry = "DE"\nlatitude = nan\nlongitude = 2\n').length, 1);
});
