// The scenarios of `npm run bench -- --rivals`, in the order of the report.

import type { Scenario } from "./scenario.ts";
import { downH2, downPlain, downTls, upPlain, upTls } from "./scenarios/bodies.ts";
import { full, resumed } from "./scenarios/handshakes.ts";
import { h2m1, h2m32, h2m8 } from "./scenarios/http2.ts";
import { idle } from "./scenarios/idle.ts";
import { plain, tls } from "./scenarios/keep-alive.ts";
import { latency } from "./scenarios/latency.ts";
import { websocket } from "./scenarios/websocket.ts";

export function allScenarios(): readonly Scenario[] {
  const bodies = [downPlain, upPlain, downTls, upTls, downH2];
  return [plain, tls, h2m1, h2m8, h2m32, full, resumed, ...bodies, websocket, idle, latency()];
}
