// The sections of a fly.toml beside services: checks of machines, and what no proxy needs yet: deploys, static files, volumes, sizes,
// builds. Those are read and checked, so that a mistake shows now, and reported as not yet in force. Reference sections 1.2, 1.7, 1.8, 1.9.

import { z } from "zod";

import { checkTiming, commandWords, groupNames, httpProbe, machineCheck } from "./fly-service-schema.ts";
import { duration, portOrDigits } from "./scalars.ts";

const text = z.string();
const flag = z.boolean();
const processes = groupNames.default([]).meta({ description: "Process groups it is for.", fallback: "the default group" });
const size = z.union([text, z.number()]).transform(String).optional().meta({ kind: "a size" });

const virtualMachine = {
  size: text.optional().describe("Named size."),
  memory: size.meta({ description: "Memory, in megabytes or with a unit." }),
  memory_mb: z.int().min(1).optional().describe("Memory in megabytes."),
  cpu_kind: text.optional().describe("Kind of CPU."),
  cpus: z.int().min(1).optional().describe("Number of CPUs."),
  gpu_kind: text.optional().describe("Kind of GPU."),
  gpus: z.int().min(0).optional().describe("Number of GPUs."),
  kernel_args: z.array(text).optional().describe("Arguments of the kernel."),
  persist_rootfs: text.optional().describe("When the root file system is kept."),
  host_dedication_id: text.optional().describe("Dedicated host to place on."),
};

const topLevelCheck = z.object({
  type: z.enum(["http", "tcp"]).meta({ description: "Kind of the check.", standIn: "tcp" }),
  port: portOrDigits().optional().meta({ description: "Port to probe.", fallback: "internal_port of http_service" }),
  kind: z
    .enum(["informational", "readiness"])
    .default("informational")
    .describe("Whether a machine that fails it gets no traffic (`readiness`, a key of Kittiwake's own), or the result is only shown."),
  processes,
  ...checkTiming,
  interval: checkTiming.interval.describe("Time between two probes, at least 2s; a bare number is milliseconds."),
  timeout: checkTiming.timeout.describe("How long a probe may take, at most 60s; a bare number is milliseconds."),
  ...httpProbe,
});

const deploy = z.object({
  strategy: z.enum(["rolling", "immediate", "canary", "bluegreen"]).default("rolling").describe("How machines are replaced."),
  max_unavailable: z.number().positive().default(0.33).meta({
    description: "Machines replaced at once: a count from 1, or a fraction below it.",
    kind: "a number above 0",
  }),
  wait_timeout: duration().prefault("5m").describe("How long each machine may take to get ready."),
  release_command: text.optional().describe("Command run once before the rollout."),
  release_command_timeout: duration().prefault("5m").describe("How long the release command may take."),
  release_command_vm: z.object(virtualMachine).optional().describe("Size of the release command's machine."),
  seed_command: text.optional().describe("Command run once after the first deploy."),
});

const statics = z.object({
  guest_path: text.min(1).meta({ description: "Directory of the files, in the machine.", standIn: "/" }),
  url_prefix: text.min(1).meta({ description: "Path that the files are served under.", standIn: "/" }),
  tigris_bucket: text.optional().describe("Bucket that has the files instead."),
  index_document: text.optional().describe("File for a directory."),
});

const mount = z.object({
  source: text.optional().describe("Name of the volume."),
  destination: text.optional().describe("Where it is mounted."),
  initial_size: size.meta({ description: "Size when created." }),
  snapshot_retention: z.int().min(1).max(60).optional().describe("Days to keep snapshots."),
  scheduled_snapshots: flag.optional().describe("Whether snapshots are made daily."),
  auto_extend_size_threshold: z.int().min(50).max(99).optional().describe("Percentage used at which the volume grows."),
  auto_extend_size_increment: size.meta({ description: "By how much it grows." }),
  auto_extend_size_limit: size.meta({ description: "Up to what size it grows." }),
  processes,
});

const build = z.object({
  image: text.optional().describe("Image to run."),
  dockerfile: text.optional().describe("Dockerfile to build."),
  ignorefile: text.optional().describe("File of what not to send to the builder."),
  "build-target": text.optional().describe("Stage of the Dockerfile."),
  build_target: text.optional().describe("The same as build-target."),
  args: z.record(text, scalar()).optional().describe("Build arguments."),
  builder: text.optional().describe("Buildpacks builder."),
  buildpacks: z.array(text).optional().describe("Buildpacks."),
  builtin: text.optional().describe("Built-in builder."),
  settings: z.record(text, z.unknown()).optional().describe("Settings of the built-in builder."),
  compose: z
    .object({ file: text.optional().describe("Compose file.") })
    .optional()
    .describe("Compose file to read."),
  compression: text.optional().describe("Compression of the image."),
  compression_level: z.int().optional().describe("Level of that compression."),
});

const file = z.object({
  guest_path: text.min(1).meta({ description: "Where the file goes.", standIn: "/file" }),
  local_path: text.optional().describe("File to copy."),
  secret_name: text.optional().describe("Secret to write."),
  raw_value: text.optional().describe("Contents, in base64."),
  processes,
});

const metrics = z.object({
  port: portOrDigits().meta({ description: "Port to scrape.", standIn: 9091 }),
  path: text.optional().meta({ description: "Path to scrape.", fallback: "`/metrics`" }),
  https: flag.default(false).describe("Scrape over TLS."),
  processes,
});

const experimental = z.object({
  cmd: commandWords.optional().describe("Replaces the image's command."),
  entrypoint: commandWords.optional().describe("Replaces the image's entrypoint."),
  exec: commandWords.optional().describe("Replaces both."),
  auto_rollback: flag.default(false).describe("Go back to the last release when a deploy fails."),
  enable_consul: flag.default(false).describe("Attach Consul."),
  enable_etcd: flag.default(false).describe("Attach etcd."),
  lazy_load_images: flag.default(false).describe("Load image layers on demand."),
  machine_config: text.optional().describe("Machine configuration to merge in."),
  attached: z
    .object({
      secrets: z
        .object({ export: z.record(text, text).optional().describe("Names to export.") })
        .optional()
        .describe("Secrets."),
    })
    .optional()
    .describe("What attached apps get."),
});

function scalar() {
  return z.union([text, z.number(), flag]).meta({ kind: "a string, number or boolean" });
}

/** `[checks]`. */
export const topLevelChecks = z.record(text.min(1), topLevelCheck).default({}).meta({
  description: "Checks of the machines that are of no service; their results are in the machine object.",
  kind: "a table of checks",
});

/** By name, each marked as pending; part of the document's schema in fly-toml.ts. */
export const pendingSections = {
  swap_size_mb: z.int().min(0).optional().meta({ description: "Swap of each machine, in megabytes.", pending: true }),
  console_command: text.optional().meta({ description: "Command of an interactive console.", pending: true }),
  host_dedication_id: text.optional().meta({ description: "Dedicated host to place on.", pending: true }),
  machine_config: text.optional().meta({ description: "Machine configuration to merge in.", pending: true }),
  container: text.optional().meta({ description: "Container that is the app's.", pending: true }),
  machine_checks: z.array(machineCheck).default([]).meta({ description: "Commands that test a new machine in a deploy.", pending: true }),
  deploy: deploy.optional().meta({ description: "How a new release replaces the old one.", pending: true }),
  statics: z.array(statics).max(10).default([]).meta({ description: "Files that the edge serves itself.", pending: true }),
  metrics: z.array(metrics).default([]).meta({ description: "The app's own metrics.", pending: true }),
  mounts: z.array(mount).default([]).meta({ description: "Volumes. Also written `[mount]`.", pending: true }),
  vm: z
    .array(z.object({ ...virtualMachine, processes }))
    .default([])
    .meta({ description: "Size of the machines. Also written `[compute]` or `[computes]`.", pending: true }),
  files: z.array(file).default([]).meta({ description: "Files to write into the machine.", pending: true }),
  build: build.optional().meta({ description: "How the image is built.", pending: true }),
  experimental: experimental.optional().meta({ description: "Keys that Fly may change.", pending: true }),
};
