// Which app a TLS connection is for, and how its handshake is answered: decided by the name in its first message, before TLS begins.

import type { ClientAuth } from "../core/app.ts";
import { canonicalServerName } from "../certs/server-name.ts";
import type { ClientHello } from "../http/client-hello.ts";
import type { Route, Router } from "../routing/router.ts";
import type { EdgeApp, EdgeService } from "./edge-app.ts";

export interface HelloChoice {
  /** Canonical; null: the client names no host. */
  readonly name: string | null;
  /** null: HTTP, for whichever host its requests name. */
  readonly route: Route<EdgeService> | null;
  /** Whose certificate it gets, where that is not for `name`; null for the self-signed one, undefined for that of `name`. */
  readonly certificateOf: string | null | undefined;
  /** Of the app that is meant; null: the client is not asked for a certificate. */
  readonly clientAuth: ClientAuth | null;
}

/** null: nobody here is meant, and the connection ends without an answer. */
export function chooseByHello(router: Router<EdgeService, EdgeApp>, publicPort: number, hello: ClientHello): HelloChoice | null {
  const { only, hasHttp, selfSigned } = router.plan(publicPort);
  const name = hello.serverName === null ? null : canonicalServerName(hello.serverName);
  const app = name === null ? null : router.match(name);
  if (app !== null) {
    const { clientAuth } = app;
    const route = router.portOf(app, "tcp", publicPort);
    if (route !== null) return { name, route, certificateOf: undefined, clientAuth };
    // The app is not on this port; HTTP has a way to say so.
    return hasHttp ? { name, route: null, certificateOf: undefined, clientAuth } : null;
  }
  // A passed-through handshake is the machine's to answer, and only a name leads there.
  if (selfSigned !== null) {
    return { name, route: selfSigned, certificateOf: null, clientAuth: router.app(selfSigned.service.app)?.clientAuth ?? null };
  }
  // A client that names nobody (by address, or of old) can only mean the one app there is. HTTP has many hosts, so there it must say.
  if (hello.serverName !== null || only === null || hasHttp || only.route.port.rules.isPassedThrough) return null;
  return { name: null, route: only.route, certificateOf: only.app.hostnames[0]!, clientAuth: only.app.clientAuth };
}
