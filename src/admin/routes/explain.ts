// Where a request for a URL would go, and why: `GET /explain?url=https://hello.example/&region=nrt`. With `client`, an address; `method`; `header`, such as
// `fly-prefer-region: nrt`; and what if: `down`, a region or a machine, and `load`, such as `hello/ams=30`. The last three several times.

import { isIP } from "node:net";
import type { FastifyInstance } from "fastify";

import { ProxyError } from "../../core/errors.ts";
import type { ExplainQuestion, NodeControl } from "../control.ts";
import { snakeCased } from "../snake-case.ts";

type Query = Readonly<Record<string, unknown>>;

const PARAMETERS = ["url", "region", "client", "method", "header", "down", "load"];

export function addExplainRoute(server: FastifyInstance, control: NodeControl): void {
  server.get<{ Querystring: Query }>("/explain", ({ query }) => snakeCased(control.explain(toQuestion(query))));
}

function toQuestion(query: Query): ExplainQuestion {
  for (const name of Object.keys(query)) if (!PARAMETERS.includes(name)) throw refused(`there is no parameter "${name}"`);
  const { url, region = null, client = null, method = "GET" } = query;
  if (typeof url !== "string") throw refused("expected one url, such as /explain?url=https://hello.localhost/");
  if (region !== null && typeof region !== "string") throw refused("expected at most one region");
  if (client !== null && (typeof client !== "string" || isIP(client) === 0))
    throw refused("expected at most one client, by its IP address");
  if (typeof method !== "string" || !/^[A-Z][A-Z-]{0,31}$/.test(method)) throw refused("expected at most one method, such as POST");
  const headers = listed(query["header"]).map((text): [string, string] => {
    const [, name = "", value = ""] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*)$/.exec(text) ?? [];
    if (name === "") throw refused(`expected a header such as "fly-prefer-region: nrt", got ${JSON.stringify(text)}`);
    return [name.toLowerCase(), value.trim()];
  });
  const load = listed(query["load"]).map((text): [string, number] => {
    const [, name = "", count = ""] = /^([^=]+)=(\d{1,9})$/.exec(text) ?? [];
    if (name === "") throw refused(`expected a load such as "hello/ams=30", got ${JSON.stringify(text)}`);
    return [name, Number(count)];
  });
  return { url, region, client, method, headers, whatIf: { down: listed(query["down"]), load: Object.fromEntries(load) } };
}

function listed(value: unknown): string[] {
  return value === undefined ? [] : (Array.isArray(value) ? value : [value]).map(String);
}

function refused(message: string): ProxyError {
  return new ProxyError("bad_request", message);
}
