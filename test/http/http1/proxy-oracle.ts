// How other proxies frame the same bytes: a real HAProxy or nginx, and behind it a machine that reads what they send on as strictly as we
// do, and answers what it is told to. One connection at a time goes through, so all that arrives meanwhile belongs to it.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { RequestDecoder, type Http1RequestHead, type RequestLimits } from "../../../src/http/http1/request-decoder.ts";
import { eventually } from "../../support/eventually.ts";

/** A whole request as it came to the machine. */
export interface ProxiedRequest {
  readonly method: string;
  readonly target: string;
  data: string;
}

/** What came back. */
export interface ProxiedBytes {
  readonly bytes: Buffer;
  /** Was the connection ended, and not reset? */
  readonly hasEnded: boolean;
}

export type ProxyName = "haproxy" | "nginx";

/** Room for what proxies add to a request that is at our own limits. */
const LIMITS: RequestLimits = {
  headBytes: 65_536,
  targetBytes: 32_768,
  headers: 200,
  underscores: "pass",
  trailerBytes: 65_536,
  trailers: 200,
  chunkExtensionBytes: 65_536,
};
const WELL = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
/** A proxy that waits longer for more than there is has had its say. */
const PATIENCE_MS = 2000;

/** What the machine gets, and what it says. */
interface Script {
  readonly requests: ProxiedRequest[];
  /** Sent once, behind which the machine ends its connection; null: every request is answered well. */
  answer: Buffer | null;
}

/** Why a proxy cannot be asked here; false when it can. */
export function whyNot(name: ProxyName): string | false {
  return spawnSync(name, ["-v"]).error === undefined ? false : `${name} is not installed`;
}

export class ProxyOracle implements AsyncDisposable {
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #machine: Server;
  readonly #connections: Set<Socket>;
  readonly #script: Script;

  private constructor(directory: string, process: ChildProcess, machine: Server, connections: Set<Socket>, script: Script) {
    this.#directory = directory;
    this.#process = process;
    this.#machine = machine;
    this.#connections = connections;
    this.#script = script;
  }

  static async start(name: ProxyName): Promise<ProxyOracle> {
    const directory = mkdtempSync(join(tmpdir(), `kittiwake-${name}-`));
    const script: Script = { requests: [], answer: null };
    const connections = new Set<Socket>();
    const machine = createServer((socket) => {
      connections.add(socket);
      socket.on("close", () => connections.delete(socket));
      socket.on("error", () => socket.destroy());
      serve(socket, script);
    });
    machine.listen(0, "127.0.0.1");
    await once(machine, "listening");
    const config = join(directory, "proxy.conf");
    writeFileSync(config, CONFIGS[name](directory, (machine.address() as AddressInfo).port));
    const args = name === "haproxy" ? ["-db", "-f", config] : ["-p", directory, "-e", join(directory, "log"), "-c", config];
    const process = spawn(name, args, { stdio: "ignore" });
    const oracle = new ProxyOracle(directory, process, machine, connections, script);
    await eventually(() => oracle.#answers(), `${name} to listen`);
    return oracle;
  }

  /** What the machine gets when a client sends these bytes and then ends its side. */
  async read(bytes: Buffer): Promise<ProxiedRequest[]> {
    this.#script.answer = null;
    this.#script.requests.length = 0;
    await this.#exchange(bytes);
    return [...this.#script.requests];
  }

  /** What a client gets for a request of this method when the machine answers these bytes and then ends its connection. */
  async readResponse(bytes: Buffer, method: string): Promise<ProxiedBytes> {
    this.#script.answer = bytes;
    return await this.#exchange(Buffer.from(`${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
  }

  async #exchange(bytes: Buffer): Promise<ProxiedBytes> {
    const pieces: Buffer[] = [];
    let hasEnded = false;
    const socket = connect({ path: join(this.#directory, "socket"), allowHalfOpen: true });
    const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
    const closed = new Promise((resolve) => void socket.once("close", resolve));
    socket.on("error", () => socket.destroy());
    socket.on("end", () => {
      hasEnded = true;
      socket.destroy();
    });
    socket.on("data", (piece: Buffer) => pieces.push(piece));
    socket.end(bytes);
    await closed;
    clearTimeout(timer);
    // A connection that the proxy keeps has carried its last request; others may still have something to say.
    for (const connection of this.#connections) connection.destroy();
    return { bytes: Buffer.concat(pieces), hasEnded };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
    for (const connection of this.#connections) connection.destroy();
    this.#machine.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    return (await this.read(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))).length === 1;
  }
}

/** Reads requests as they come, whatever they say about the connection, and answers each. What cannot be read ends it. */
function serve(socket: Socket, script: Script): void {
  let request: ProxiedRequest = { method: "", target: "", data: "" };
  const decoder = new RequestDecoder(LIMITS, {
    onHead: ({ method, target }: Http1RequestHead) => void (request = { method, target, data: "" }),
    onData: (buffer, start, end) => void (request.data += buffer.toString("latin1", start, end)),
    onTrailers: () => undefined,
    onEnd() {
      script.requests.push(request);
      if (script.answer === null) socket.write(WELL);
      else socket.end(script.answer);
      decoder.next();
    },
  });
  socket.on("data", (chunk: Buffer) => {
    try {
      decoder.decode(chunk, 0, chunk.length);
    } catch {
      script.requests.push({ method: "?", target: "what our own reader refuses", data: chunk.toString("latin1") });
      socket.destroy();
    }
  });
}

const CONFIGS: Readonly<Record<ProxyName, (directory: string, port: number) => string>> = {
  haproxy: (directory, port) => `
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 1s
  timeout server 5s
  timeout http-request 1s
frontend edge
  bind unix@${directory}/socket
  default_backend machine
backend machine
  server one 127.0.0.1:${port}
`,
  nginx: (directory, port) => `
daemon off;
master_process off;
pid ${directory}/pid;
error_log ${directory}/log crit;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  client_max_body_size 0;
  client_header_timeout 1s;
  client_body_timeout 1s;
  lingering_close off;
  underscores_in_headers on;
  server {
    listen unix:${directory}/socket;
    location / {
      proxy_pass http://127.0.0.1:${port};
      proxy_http_version 1.1;
      proxy_ignore_client_abort on;
    }
  }
}
`,
};
