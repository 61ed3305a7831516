// The operator's region file: regions that the built-in table lacks or has elsewhere, and round trips that somebody measured.
//
//     [[region]]                                    [[rtt]]
//     code = "home"                                 from = "home"
//     name = "Attic"                                to = "fra"
//     country = "DE"                                ms = 18.5
//     latitude = 52.4
//     longitude = 13.1

import { closest, distance } from "fastest-levenshtein";
import { z } from "zod";

import { REGIONS } from "../core/region-table.ts";
import type { MeasuredRtt, Region } from "../core/region.ts";
import { Findings } from "./findings.ts";
import { defineDocument } from "./key-schema.ts";
import type { Problem } from "./problems.ts";
import { readDocument } from "./read-document.ts";
import { regionCode } from "./scalars.ts";
import { readTomlFile, TomlFile } from "./toml-file.ts";

export interface RegionFile {
  /** Only those of the file; what it says of a built-in code replaces that row. */
  readonly regions: readonly Region[];
  readonly measured: readonly MeasuredRtt[];
}

/** A round trip beyond this is an outage, or a number in the wrong unit. */
const MAX_RTT_MS = 10_000;

const region = z.strictObject({
  code: regionCode().describe("What config, headers and logs call the region; one of the built-in codes replaces that row."),
  name: z.string().min(1).max(64).meta({ description: "City, or whatever people call it.", kind: "a name of at most 64 characters" }),
  country: z
    .string()
    .regex(/^[A-Z]{2}$/)
    .meta({ description: "ISO 3166 code of the country.", kind: 'two capital letters such as "NL"', standIn: "XX" }),
  latitude: z.number().min(-90).max(90).meta({ description: "Degrees, north positive.", standIn: 0 }),
  longitude: z.number().min(-180).max(180).meta({ description: "Degrees, east positive.", standIn: 0 }),
});

const rtt = z.strictObject({
  from: regionCode().describe("Region at one end."),
  to: regionCode().describe("Region at the other end. An entry counts for both directions, unless the other has one of its own."),
  ms: z
    .number()
    .positive()
    .max(MAX_RTT_MS)
    .meta({ description: "Round trip in milliseconds.", kind: `milliseconds above 0, at most ${MAX_RTT_MS}`, standIn: 1 }),
});

export const REGION_DOCUMENT = defineDocument(
  z.strictObject({
    region: z.array(region).default([]).describe("A region to add or to replace."),
    rtt: z.array(rtt).default([]).describe("A measured round trip."),
  }),
);

type RegionDocument = z.infer<(typeof REGION_DOCUMENT)["zod"]>;

/**
 * Reads and checks a region file. @returns its content, or all that is wrong with it
 * @param name how problems name the file
 */
export function readRegionFile(path: string, name: string = path): RegionFile | readonly Problem[] {
  const file = readTomlFile(path, name);
  if (!(file instanceof TomlFile)) return [file];
  const findings = new Findings(file);
  const document = readDocument(REGION_DOCUMENT, file.tree, findings);
  if (document !== null) {
    reportRepeatedCodes(document, findings);
    reportRoundTrips(document, findings);
  }
  if (document === null || findings.hasErrors) return findings.toProblems();
  return { regions: document.region, measured: document.rtt };
}

/** Did `readRegionFile` find a usable file? */
export function isRegionFile(result: RegionFile | readonly Problem[]): result is RegionFile {
  return !Array.isArray(result);
}

function reportRepeatedCodes({ region: regions }: RegionDocument, findings: Findings): void {
  regions.forEach(({ code }, index) => {
    const first = regions.findIndex((other) => other.code === code);
    if (first < index) findings.error(["region", index, "code"], `"${code}" is at ${findings.placeOf(["region", first, "code"])} already`);
  });
}

function reportRoundTrips({ region: regions, rtt: entries }: RegionDocument, findings: Findings): void {
  const codes = [...new Set([...REGIONS, ...regions].map(({ code }) => code))];
  entries.forEach(({ from, to }, index) => {
    if (!codes.includes(from)) findings.error(["rtt", index, "from"], unknownRegion(from, codes));
    if (!codes.includes(to)) findings.error(["rtt", index, "to"], unknownRegion(to, codes));
    const first = entries.findIndex((other) => other.from === from && other.to === to);
    if (first < index) findings.error(["rtt", index], `from "${from}" to "${to}" is at ${findings.placeOf(["rtt", first])} already`);
  });
}

function unknownRegion(code: string, codes: readonly string[]): string {
  const near = closest(code, codes);
  const hint = distance(code, near) <= 1 ? `did you mean "${near}"?` : "add it as a [[region]]";
  return `expected the code of a region, got "${code}"; ${hint}`;
}
