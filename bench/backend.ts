// The machine behind every proxy: answers each request head with the same small response, as cheaply as Node can, so that the proxy is
// what is measured. Prints its port.

import { createServer, type AddressInfo } from "node:net";

const END_OF_HEAD = Buffer.from("\r\n\r\n");
const BODY = "hello from the benchmark's backend\n";
const RESPONSE = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${BODY.length}\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n${BODY}`,
);

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    for (let at = chunk.indexOf(END_OF_HEAD); at !== -1; at = chunk.indexOf(END_OF_HEAD, at + 4)) socket.write(RESPONSE);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`ready ${(server.address() as AddressInfo).port}`));
process.on("SIGTERM", () => process.exit(0));
