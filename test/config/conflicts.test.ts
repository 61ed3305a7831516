// Where the reference has two answers (its section 12), the one that is in force: what a configuration that says nothing comes to, and what the code
// makes of it. The rows of routing, waking and checks; decision 010 has the table.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { App } from "../../src/core/app.ts";
import { FLY_CODES } from "../../src/core/fly-codes.ts";
import type { NodeConfig } from "../../src/config/node-config.ts";
import { parseReplay } from "../../src/edge/replay-order.ts";
import { loadFiles } from "./files.ts";

const APP = 'app = "hello"\n[processes]\napp = "serve"\n[http_service]\ninternal_port = 8080\nregions = ["ams", "nrt"]\n';

for (const [topic, limits, more, decided] of [
  ["LB attempts: 40, not 90", "", "", ({ limits: { attempts } }) => attempts === 40],
  ["LB attempts: configurable", "attempts = 90", "", ({ limits: { attempts } }) => attempts === 90],
  ["Replay body: 1 MB", "", "", ({ limits: { replayBodyBytes } }) => replayBodyBytes === 1_048_576],
  ["Replay body: 10 MB for retries", "", "", ({ limits: { retryBodyBytes } }) => retryBodyBytes === 10_485_760],
  [
    "Replay body: configurable",
    "replay_body_bytes = 5\nretry_body_bytes = 7",
    "",
    ({ limits }) => limits.replayBodyBytes === 5 && limits.retryBodyBytes === 7,
  ],
  ["Cross-region spill on soft: no", "", "", (_, app) => app.regionPolicy === "any" && app.balance === "closest"],
  ["Spread under soft: closest by default", "", "", (_, { balance }) => balance === "closest"],
  ["Spread under soft: an option", "", '[kittiwake]\nbalance = "spread"\n', (_, { balance }) => balance === "spread"],
  ["autostart default: true when absent", "", "", (_, { services }) => services[0]!.autoStart],
  ["autostart: false when said", "", "auto_start_machines = false\n", (_, { services }) => !services[0]!.autoStart],
  ["fly-replay separators: semicolons", "", "", () => parseReplay("region=nrt;state=x")?.state === "x"],
  ["fly-replay separators: commas in quotes", "", "", () => parseReplay('region="nrt,ord"')?.regions?.join() === "nrt,ord"],
  ["fly-replay separators: no commas between fields", "", "", () => parseReplay("region=nrt,state=x") === null],
  ["PM code numbers: those of the docs", "", "", () => FLY_CODES.machine_state === "PM08" && FLY_CODES.wake_timeout === "PM05"],
  ["PU01 is for h2: a bad Host has a code of our own", "", "", () => FLY_CODES.bad_host === undefined],
] as const satisfies readonly (readonly [string, string, string, (node: NodeConfig, app: App) => boolean])[]) {
  test(`reference 12, ${topic}`, (t) => {
    const config = loadFiles(t, { "kittiwake.toml": `region = "ams"\n[limits]\n${limits}\n`, "apps/a.toml": APP + more });
    assert.ok(config.usable);
    assert.ok(decided(config.node, config.apps[0]!));
  });
}
