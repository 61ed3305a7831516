// A process of its own that serves TLS with session tickets of the store in a directory; session-tickets.test.ts starts two of them.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";

import { LocalCa } from "../../src/certs/local-ca.ts";
import { Secret } from "../../src/certs/secret.ts";
import { SessionTickets } from "../../src/certs/session-tickets.ts";
import { tlsOptions } from "../../src/certs/tls-options.ts";
import { SqliteStore } from "../../src/state/sqlite-store.ts";
import { silent } from "./fixtures.ts";

const directory = process.argv[2]!;
// Whoever loses the race for the keys looks again a little later, by a timer that keeps no process alive.
process.on("disconnect", () => process.exit(0));
const store = new SqliteStore({ path: join(directory, "state.db") });
const environment = process.env["KITTIWAKE_SECRET"];
const secret = await Secret.open({ path: "unused", environment, isInUse: async () => false, log: silent });
const known = Promise.withResolvers<void>();
const tickets = new SessionTickets({ store, secret, onChange: () => known.resolve(), log: silent });
void tickets.run(new AbortController().signal);
await known.promise;

const ca = await LocalCa.open(join(directory, "ca"), { log: silent });
const { certificatePem: cert, privateKeyPem: key } = await ca.issue("hello.localhost");
const server = createServer({ ...tlsOptions({ ticketKeys: tickets.inForce }), cert, key }, (socket) => {
  socket.on("error", () => {});
  socket.end("hello");
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
process.send!((server.address() as AddressInfo).port);
