// @fastify/reply-from with its pool of undici to the backend, as its users run it. Arguments: the backend's port, the files of a certificate and
// its key. Prints its own ports. Plain JavaScript, so that checking the types does not need a rival that may be left out.

import { readFileSync } from "node:fs";
import replyFrom from "@fastify/reply-from";
import fastify from "fastify";

const [backendPort, certificatePath, keyPath] = process.argv.slice(2);
const keepAliveTimeout = 75_000;
const options = { logger: false, keepAliveTimeout };
const https = { keepAliveTimeout, allowHTTP1: true, cert: readFileSync(certificatePath), key: readFileSync(keyPath) };
const servers = [fastify(options), fastify({ ...options, http2: true, https })];

for (const server of servers) {
  void server.register(replyFrom, { base: `http://127.0.0.1:${backendPort}`, undici: { connections: 256 } });
  // Bodies pass through unread.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
  server.all("/*", (request, reply) => reply.from(request.url, { rewriteRequestHeaders: forwarded }));
  await server.listen({ host: "127.0.0.1", port: 0 });
}
console.log(`ready ${servers.map(({ server }) => server.address().port).join(" ")}`);
process.on("SIGTERM", () => process.exit(0));

function forwarded({ ip, protocol, socket }, headers) {
  return { ...headers, "x-forwarded-for": ip, "x-forwarded-proto": protocol, "x-forwarded-port": String(socket.localPort) };
}
