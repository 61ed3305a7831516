// Apps, as Fly's Machines API lists them (reference section 9.2). `org_slug` and the cursor are not needed: there is one organisation, and all
// apps fit into one answer.

import type { FastifyInstance } from "fastify";

import type { App } from "../../core/app.ts";
import { ProxyError } from "../../core/errors.ts";
import type { NodeControl } from "../control.ts";
import { type AppObject, appObject } from "../machine-object.ts";

export function addAppRoutes(server: FastifyInstance, control: NodeControl): void {
  server.get("/v1/apps", () => {
    const apps = control.apps().map((app): AppObject => appObject(app, control.machines(app.name)));
    return { apps, total_apps: apps.length };
  });

  server.get<{ Params: { app: string } }>("/v1/apps/:app", ({ params }) => {
    const app = findApp(control, params.app);
    return appObject(app, control.machines(app.name));
  });
}

/** Throws `app_not_found`. */
export function findApp(control: NodeControl, name: string): App {
  const app = control.apps().find((candidate) => candidate.name === name);
  if (app === undefined) throw new ProxyError("app_not_found", `there is no app ${JSON.stringify(name)}`);
  return app;
}
