// `kittiwake regions`: the regions that this configuration knows, nearest first. Needs no running node, so it shows what the table says, not
// what a mesh has measured since.

import { Latency } from "../../catalog/latency.ts";
import { formatProblem } from "../../config/problems.ts";
import { isRegionFile, readRegionFile, type RegionFile } from "../../config/region-file.ts";
import { ProxyError } from "../../core/errors.ts";
import { REGIONS } from "../../core/region-table.ts";
import { configPathOrNull, type GlobalOptions, readNodeConfig } from "../config-source.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { formatMs, formatTable } from "../table.ts";
import { printJson, type Terminal } from "../terminal.ts";

export interface RegionsOptions extends GlobalOptions {
  /** Region code; that of the configuration if there is none. */
  readonly from?: string;
}

export function regions(options: RegionsOptions, terminal: Terminal): ExitCode {
  const { region, file } = readRegions(options, terminal);
  const from = options.from ?? region;
  if (from === null) throw new ProxyError("config_invalid", "there is no kittiwake.toml here that names a region; name one with --from");
  const table = new Latency({ regions: [...REGIONS, ...file.regions], measured: file.measured }).table(from);
  if (options.json === true) {
    const rows = table.map(({ rttMs, source, ...place }) => ({ ...place, rtt_ms: rttMs, source }));
    printJson(terminal, { from, regions: rows });
    return EXIT.ok;
  }
  const rows = table.map(({ code, name, country, rttMs, source }) => [code, name, country, formatMs(rttMs), source]);
  terminal.print(formatTable(["CODE", "NAME", "COUNTRY", "RTT", "SOURCE"], rows));
  return EXIT.ok;
}

function readRegions(options: GlobalOptions, terminal: Terminal): { readonly region: string | null; readonly file: RegionFile } {
  const path = configPathOrNull(options, terminal);
  if (path === null) return { region: null, file: { regions: [], measured: [] } };
  const { region, regionTable } = readNodeConfig(path, ["region", "regions"]);
  if (regionTable === null) return { region, file: { regions: [], measured: [] } };
  const file = readRegionFile(regionTable);
  if (!isRegionFile(file)) throw new ProxyError("config_invalid", file.map(formatProblem).join("\n"));
  return { region, file };
}
