// What the metrics say of the node as it is now, looked up for every scrape.

import type { MachineLoad } from "../catalog/machine-load.ts";
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
