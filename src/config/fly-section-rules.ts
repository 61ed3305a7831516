// Rules of fly.toml that a schema cannot say: names of process groups, limits of top-level checks, what excludes what. Most belong to
// sections that are not yet in force; a mistake in them is reported now all the same.

import { formatDuration } from "../core/duration.ts";
import type { Findings } from "./findings.ts";
import { documentServices } from "./fly-services.ts";
import type { FlyDocument } from "./fly-toml.ts";
import { formatValue } from "./problems.ts";
import type { KeyPath } from "./problems.ts";

/** Reports what is wrong in and between the sections of a document. */
export function checkSections(document: FlyDocument, groupNames: readonly string[], findings: Findings): void {
  checkGroupNames(document, groupNames, findings);
  checkTopLevelChecks(document, findings);
  checkStatics(document, findings);
  if (document.deploy?.strategy === "canary" && document.mounts.length > 0) {
    findings.error(["deploy", "strategy"], 'expected another strategy than "canary", because the app has mounts');
  }
}

function checkGroupNames(document: FlyDocument, known: readonly string[], findings: Findings): void {
  const users: { path: KeyPath; processes: readonly string[] }[] = [
    ...documentServices(document).map(({ path, service }) => ({ path, processes: service.processes })),
    ...Object.entries(document.checks).map(([name, { processes }]) => ({ path: ["checks", name], processes })),
    ...(["restart", "mounts", "vm", "files", "metrics"] as const).flatMap((section) =>
      document[section].map(({ processes }, index) => ({ path: [section, index], processes })),
    ),
  ];
  for (const { path, processes } of users) {
    for (const [index, name] of processes.entries()) {
      if (known.includes(name)) continue;
      findings.error([...path, "processes", index], `expected a process group (${known.join(", ")}), got ${formatValue(name)}`);
    }
  }
}

/** Unlike those of service checks, these limits are errors. */
function checkTopLevelChecks(document: FlyDocument, findings: Findings): void {
  for (const [name, check] of Object.entries(document.checks)) {
    const path = ["checks", name];
    if (name.startsWith("servicecheck-"))
      findings.error(path, 'expected another name: those of checks of services begin with "servicecheck-"');
    if (check.interval < 2_000) findings.error([...path, "interval"], `expected at least 2s, got ${formatDuration(check.interval)}`);
    if (check.timeout > 60_000) findings.error([...path, "timeout"], `expected at most 60s, got ${formatDuration(check.timeout)}`);
    if (check.port === undefined && document.http_service === undefined) {
      findings.error([...path, "port"], "missing; without [http_service] there is no port to inherit");
    }
  }
}

function checkStatics(document: FlyDocument, findings: Findings): void {
  const prefixes = document.statics.map(({ url_prefix: prefix }) => (prefix.endsWith("/") ? prefix : `${prefix}/`));
  for (const [index, prefix] of prefixes.entries()) {
    const other = prefixes.findIndex((earlier) => prefix.startsWith(earlier) || earlier.startsWith(prefix));
    if (other >= index || findings.hasErrorAt(["statics", other, "url_prefix"])) continue;
    const place = findings.placeOf(["statics", other, "url_prefix"]);
    findings.error(
      ["statics", index, "url_prefix"],
      `${formatValue(document.statics[index]!.url_prefix)} overlaps with the prefix at ${place}`,
    );
  }
}
