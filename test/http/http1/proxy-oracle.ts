// How other proxies frame the same bytes: a real HAProxy or nginx, and behind it a machine that reads what they send on as strictly as we
// do, and answers what it is told to. One connection at a time goes through, so all that arrives meanwhile belongs to it.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "../../support/eventually.ts";
import { StrictMachine, type ArrivedRequest } from "../../support/strict-machine.ts";

/** What came back. */
export interface ProxiedBytes {
  readonly bytes: Buffer;
  /** Was the connection ended, and not reset? */
  readonly hasEnded: boolean;
}

export type ProxyName = "haproxy" | "nginx";

/** A proxy that waits longer for more than there is has had its say. */
const PATIENCE_MS = 2000;

/** Why a proxy cannot be asked here; false when it can. */
export function whyNot(name: ProxyName): string | false {
  return spawnSync(name, ["-v"]).error === undefined ? false : `${name} is not installed`;
}

export class ProxyOracle implements AsyncDisposable {
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #machine: StrictMachine;

  private constructor(directory: string, process: ChildProcess, machine: StrictMachine) {
    this.#directory = directory;
    this.#process = process;
    this.#machine = machine;
  }

  static async start(name: ProxyName): Promise<ProxyOracle> {
    const directory = mkdtempSync(join(tmpdir(), `kittiwake-${name}-`));
    const machine = await StrictMachine.start();
    const config = join(directory, "proxy.conf");
    writeFileSync(config, CONFIGS[name](directory, machine.port));
    const args = name === "haproxy" ? ["-db", "-f", config] : ["-p", directory, "-e", join(directory, "log"), "-c", config];
    const process = spawn(name, args, { stdio: "ignore" });
    const oracle = new ProxyOracle(directory, process, machine);
    await eventually(() => oracle.#answers(), `${name} to listen`);
    return oracle;
  }

  /** What the machine gets when a client sends these bytes and then ends its side. */
  async read(bytes: Buffer): Promise<ArrivedRequest[]> {
    const { requests } = this.#machine;
    this.#machine.answer = null;
    requests.length = 0;
    await this.#exchange(bytes);
    return [...requests];
  }

  /** What a client gets for a request of this method when the machine answers these bytes and then ends its connection. */
  async readResponse(bytes: Buffer, method: string): Promise<ProxiedBytes> {
    this.#machine.answer = bytes;
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
    this.#machine.endConnections();
    return { bytes: Buffer.concat(pieces), hasEnded };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
    await this.#machine[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    return (await this.read(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))).length === 1;
  }
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
