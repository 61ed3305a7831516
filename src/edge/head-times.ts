// How long the head of a request may take, by what is known of its app when it begins: the port and, over TLS, the name in the handshake.

import type { Router } from "../routing/router.ts";
import type { EdgeApp, EdgeService } from "./edge-app.ts";

export class HeadTimes {
  readonly #router: Router<EdgeService, EdgeApp>;
  readonly #defaultMs: number;
  /** By public port. */
  readonly #longest = new Map<number, number>();

  constructor(router: Router<EdgeService, EdgeApp>, defaultMs: number) {
    this.#router = router;
    this.#defaultMs = defaultMs;
  }

  /** An app has changed. */
  forget(): void {
    this.#longest.clear();
  }

  /** @param serverName in the TLS handshake; null without one, and then the most patient app on the port decides for all */
  ms(publicPort: number, serverName: string | null): number {
    const app = serverName === null ? null : this.#router.match(serverName);
    return app === null ? this.#longestOn(publicPort) : this.#ofApp(app, publicPort);
  }

  #longestOn(publicPort: number): number {
    let ms = this.#longest.get(publicPort);
    if (ms === undefined) {
      ms = 0;
      for (const app of this.#router.apps) {
        if (this.#router.route(app, publicPort) !== null) ms = Math.max(ms, this.#ofApp(app, publicPort));
      }
      if (ms === 0) ms = this.#defaultMs;
      this.#longest.set(publicPort, ms);
    }
    return ms;
  }

  #ofApp(app: EdgeApp, publicPort: number): number {
    return this.#router.route(app, publicPort)?.port.http?.headTimeoutMs || this.#defaultMs;
  }
}
