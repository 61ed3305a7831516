// Every metric of the node, in one table, and the sums behind them: names and labels of reference section 10.2 so that dashboards made
// for Fly work, `kittiwake_*` for the rest. The text format is prom-client's.

import { Counter, Gauge, Histogram as PromHistogram, Registry, collectDefaultMetrics } from "prom-client";
import { BUCKETS_S, Histogram } from "./histogram.ts";
import type { TrafficReport } from "./traffic.ts";

export interface MetricsOptions {
  readonly region: string;
  readonly host: string;
  /** Called before every scrape, to bring gauges up to date. */
  readonly onScrape: (metrics: Metrics) => void;
}

type Labels = Record<string, string>;

export class Metrics {
  readonly #registry = new Registry();
  readonly #base: Labels;
  readonly #onScrape: (metrics: Metrics) => void;
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, SummedHistogram>();
  readonly #wakeTimes: PromHistogram;

  constructor({ region, host, onScrape }: MetricsOptions) {
    this.#base = { region, host };
    this.#onScrape = onScrape;
    const registers = [this.#registry];
    for (const [name, help, labelNames] of COUNTERS) this.#counters.set(name, new Counter({ name, help, labelNames, registers }));
    for (const [name, help, labelNames] of GAUGES) this.#gauges.set(name, new Gauge({ name, help, labelNames, registers }));
    for (const [name, help] of HISTOGRAMS) {
      const histogram = new SummedHistogram(name, help);
      this.#histograms.set(name, histogram);
      // The registry asks a metric only for its name and, at each scrape, for its values.
      this.#registry.registerMetric(histogram as unknown as Counter);
    }
    const [name, help] = WAKE_TIME;
    this.#wakeTimes = new PromHistogram({ name, help, labelNames: ["app", "region"], buckets: [...BUCKETS_S], registers });
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    this.#onScrape(this);
    return this.#registry.metrics();
  }

  /** Adds what a worker counted since it was last asked. */
  add(report: TrafficReport): void {
    for (const { app, status, times } of report.edge) {
      const labels = { ...this.#base, app, status: String(status) };
      this.#observe("fly_edge_http_response_time_seconds", labels, times);
      this.#count("fly_edge_http_responses_count", labels, new Histogram(times).count);
    }
    for (const { app, machine, status, times } of report.machines) {
      const labels = { ...this.#base, app, region: machine!.region, instance: machine!.id, status: String(status) };
      this.#observe("fly_app_http_response_time_seconds", labels, times);
      this.#count("fly_app_http_responses_count", labels, new Histogram(times).count);
    }
    for (const { app, machine, opened, closed, times } of report.connects) {
      const labels = { ...this.#base, app, region: machine.region, instance: machine.id };
      this.#observe("fly_app_connect_time_seconds", labels, times);
      this.#count("fly_app_tcp_connects_count", labels, opened);
      this.#count("fly_app_tcp_disconnects_count", labels, closed);
    }
    for (const { app, connects, disconnects, bytesIn, bytesOut, panics, replaysRecalled, replaysRemembered } of report.clients) {
      const labels = { ...this.#base, app };
      this.#count("fly_edge_tcp_connects_count", labels, connects);
      this.#count("fly_edge_tcp_disconnects_count", labels, disconnects);
      this.#count("fly_edge_data_in", labels, bytesIn);
      this.#count("fly_edge_data_out", labels, bytesOut);
      this.#count("kittiwake_panics_total", labels, panics);
      this.#count("kittiwake_replay_cache_hits_total", labels, replaysRecalled);
      this.#count("kittiwake_replay_cache_misses_total", labels, replaysRemembered);
    }
    for (const { app, machine, count } of report.ejections) {
      this.#count("kittiwake_ejections_total", { ...this.#base, app, region: machine.region, instance: machine.id }, count);
    }
    for (const { code, count } of report.errors) this.#count("kittiwake_errors_total", { ...this.#base, code }, count);
    for (const { servername, count } of report.handshakeErrors) {
      this.#count("fly_edge_tls_handshake_errors", { ...this.#base, servername }, count);
    }
    for (const { version, isResumed, times } of report.handshakes) {
      this.#observe("fly_edge_tls_handshake_time_seconds", { ...this.#base, version, resumed: String(isResumed) }, times);
    }
  }

  countWake(app: string, region: string, result: "woken" | "failed"): void {
    this.#count("kittiwake_wakes_total", { host: this.#base["host"]!, app, region, result }, 1);
  }

  observeWake(app: string, region: string, seconds: number): void {
    this.#wakeTimes.observe({ app, region }, seconds);
  }

  countDns(result: string): void {
    this.#count("kittiwake_dns_messages_total", { ...this.#base, result }, 1);
  }

  /** An order that was ended by the authority's word, or failed. */
  countOrder(directory: string, result: string): void {
    this.#count("kittiwake_certificate_orders_total", { ...this.#base, directory, result }, 1);
  }

  countWorkerRestart(): void {
    this.#count("kittiwake_worker_restarts_total", this.#base, 1);
  }

  /** Replaces all values of a gauge. */
  setGauge(name: GaugeName, values: readonly { readonly labels: Labels; readonly value: number }[]): void {
    const gauge = this.#gauges.get(name)!;
    gauge.reset();
    for (const { labels, value } of values) gauge.set({ ...this.#base, ...labels }, value);
  }

  #count(name: CounterName, labels: Labels, by: number): void {
    if (by > 0) this.#counters.get(name)!.inc(labels, by);
  }

  #observe(name: HistogramName, labels: Labels, times: Float64Array): void {
    this.#histograms.get(name)!.add(labels, times);
  }
}

const EDGE = ["app", "region", "host"];
const MACHINE = [...EDGE, "instance"];

const COUNTERS = [
  ["fly_edge_http_responses_count", "Responses sent to clients.", [...EDGE, "status"]],
  ["fly_edge_tcp_connects_count", "Client connections that carried a request.", EDGE],
  ["fly_edge_tcp_disconnects_count", "Client connections that ended.", EDGE],
  ["fly_edge_data_in", "Bytes of request bodies and tunnels received from clients.", EDGE],
  ["fly_edge_data_out", "Bytes sent to clients, heads included.", EDGE],
  ["fly_edge_tls_handshake_errors", "TLS handshakes that failed.", ["region", "host", "servername"]],
  ["fly_app_http_responses_count", "Responses received from machines.", [...MACHINE, "status"]],
  ["fly_app_tcp_connects_count", "Connections opened to machines.", MACHINE],
  ["fly_app_tcp_disconnects_count", "Connections to machines that ended.", MACHINE],
  ["kittiwake_errors_total", "Exchanges that ended with an error code; docs/errors.md lists them.", ["region", "host", "code"]],
  ["kittiwake_ejections_total", "How often a worker left a machine alone for a while, for failing several times in a row.", MACHINE],
  ["kittiwake_panics_total", "Attempts at machines that fail their checks, because all that run do.", EDGE],
  ["kittiwake_replay_cache_hits_total", "Requests to an app that went by a replay that was remembered.", EDGE],
  ["kittiwake_replay_cache_misses_total", "Replays that an app was asked for, and that were remembered.", EDGE],
  ["kittiwake_wakes_total", "Machines woken by a request, or not.", ["app", "region", "host", "result"]],
  ["kittiwake_dns_messages_total", "Messages to the DNS server by what became of them.", ["region", "host", "result"]],
  [
    "kittiwake_certificate_orders_total",
    "Orders of certificates of this node: issued, refused, limited (the authority's rate limit) or failed.",
    ["region", "host", "directory", "result"],
  ],
  ["kittiwake_worker_restarts_total", "Workers that died and were replaced.", ["region", "host"]],
] as const;

const GAUGES = [
  ["fly_app_concurrency", "Requests in flight on a machine, over all workers of this edge.", MACHINE],
  ["kittiwake_machines", "Machines of this node by state.", ["app", "region", "host", "state"]],
  ["kittiwake_waiting_requests", "Requests that wait for a machine to wake or to have room.", ["region", "host"]],
  ["kittiwake_client_connections", "Open client connections.", ["region", "host"]],
  [
    "kittiwake_certificates",
    "Certificates in the state store by source and state; docs/operations.md lists the states.",
    ["region", "host", "source", "state"],
  ],
  [
    "kittiwake_certificate_expiry_timestamp_seconds",
    "When certificates in the state store expire, by their first name; those that do so first.",
    ["region", "host", "hostname", "source"],
  ],
] as const;

const HISTOGRAMS = [
  ["fly_edge_http_response_time_seconds", "From a request's head to the head of its response, as the edge sees it."],
  ["fly_edge_tls_handshake_time_seconds", "Time of TLS handshakes."],
  ["fly_app_http_response_time_seconds", "From a request leaving the edge to the head of its response."],
  ["fly_app_connect_time_seconds", "Time to connect to a machine."],
] as const;

const WAKE_TIME = ["kittiwake_wake_time_seconds", "From a request finding its app asleep to the machine taking it."] as const;

type CounterName = (typeof COUNTERS)[number][0];
type GaugeName = (typeof GAUGES)[number][0];
type HistogramName = (typeof HISTOGRAMS)[number][0];

/** A histogram that is summed up elsewhere: prom-client's own can only observe single values. */
class SummedHistogram {
  readonly name: string;
  readonly help: string;
  readonly #series = new Map<string, { readonly labels: Labels; readonly histogram: Histogram }>();

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  add(labels: Labels, times: Float64Array): void {
    const key = JSON.stringify(labels);
    const series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, { labels, histogram: new Histogram(times.slice()) });
    else series.histogram.add(times);
  }

  /** What the registry asks for at a scrape. */
  async get(): Promise<object> {
    const values = [...this.#series.values()].flatMap(({ labels, histogram }) => this.#rows(labels, histogram));
    return { name: this.name, help: this.help, type: "histogram", values, aggregator: "sum" };
  }

  reset(): void {
    this.#series.clear();
  }

  #rows(labels: Labels, histogram: Histogram): object[] {
    let cumulative = 0;
    const rows: object[] = [...BUCKETS_S, "+Inf"].map((le, index) => {
      cumulative += histogram.values[index]!;
      return { labels: { le, ...labels }, value: cumulative, metricName: `${this.name}_bucket` };
    });
    rows.push({ labels, value: histogram.sum, metricName: `${this.name}_sum` });
    rows.push({ labels, value: cumulative, metricName: `${this.name}_count` });
    return rows;
  }
}
