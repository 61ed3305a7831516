// Requests and responses byte by byte: what a client sends, what the machine gets of it, and what comes back. All rows meet one node; what needs
// another configuration, and what is random, is beside them in bytes/.

import { after } from "node:test";
import { testExchanges } from "../support/byte-exchanges.ts";
import { startEdge } from "../support/edge.ts";
import { CONNECTIONS } from "./bytes/connections.ts";
import { FIELDS } from "./bytes/fields.ts";
import { FRAMING } from "./bytes/framing.ts";
import { HOSTS } from "./bytes/hosts.ts";
import { REQUEST_LINES } from "./bytes/request-lines.ts";
import { RESPONSES } from "./bytes/responses.ts";

const edge = await startEdge();
after(() => edge[Symbol.asyncDispose]());

for (const topics of [REQUEST_LINES, HOSTS, FIELDS, FRAMING, RESPONSES, CONNECTIONS]) {
  for (const [topic, rows] of Object.entries(topics)) testExchanges(edge, topic, rows);
}
