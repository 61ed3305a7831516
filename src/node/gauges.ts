// What the metrics say of the node as it is now, looked up for every scrape.

import type { MachineLoad } from "../catalog/machine-load.ts";
import { lifetimeState } from "../certs/lifetime.ts";
import type { StoredCertificate } from "../certs/stored-certificate.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Host } from "../wake/host.ts";
import type { WorkerPool } from "./worker-pool.ts";

export function setGauges(metrics: Metrics, host: Host, load: MachineLoad, workers: WorkerPool): void {
  const records = host.machines();
  const concurrency = records.map(({ app, id, region }) => ({ labels: { app, region, instance: id }, value: load.inFlight(id) }));
  metrics.setGauge("fly_app_concurrency", concurrency);
  const states = Map.groupBy(records, ({ app, region, state }) => JSON.stringify({ app, region, state }));
  metrics.setGauge(
    "kittiwake_machines",
    [...states].map(([labels, { length }]) => ({ labels: JSON.parse(labels) as Record<string, string>, value: length })),
  );
  let waiting = 0;
  let connections = 0;
  for (const { report } of workers.members) {
    waiting += report?.waiting ?? 0;
    connections += report?.connections ?? 0;
  }
  metrics.setGauge("kittiwake_waiting_requests", [{ labels: {}, value: waiting }]);
  metrics.setGauge("kittiwake_client_connections", [{ labels: {}, value: connections }]);
}

/** Beyond so many names a scrape would be mostly about those that have long to live. */
const MAX_NAMES = 500;

export function setCertificateGauges(metrics: Metrics, certificates: readonly StoredCertificate[], nowMs: number): void {
  const counts = Map.groupBy(certificates, (one) => JSON.stringify({ source: one.source, state: lifetimeState(one, nowMs) }));
  metrics.setGauge(
    "kittiwake_certificates",
    [...counts].map(([labels, { length }]) => ({ labels: JSON.parse(labels) as Record<string, string>, value: length })),
  );
  const first = certificates.toSorted((one, other) => one.notAfter.getTime() - other.notAfter.getTime()).slice(0, MAX_NAMES);
  // Of several imported ones with the same first name, the last to expire.
  metrics.setGauge(
    "kittiwake_certificate_expiry_timestamp_seconds",
    first.map(({ hostname, source, notAfter }) => ({ labels: { hostname, source }, value: notAfter.getTime() / 1000 })),
  );
}
