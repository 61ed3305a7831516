// Postgres over TLS as its own clients speak it: psql against a real server where both are installed, and a scripted client elsewhere.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { freePort } from "../support/backend.ts";
import { rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";
import { RawClient } from "../support/raw-client.ts";
import { rawApp, startNamed } from "../support/raw-apps.ts";

const PORT = 5432;
const SSL_REQUEST = Buffer.from("0000000804d2162f", "hex");
const GSS_REQUEST = Buffer.from("0000000804d21630", "hex");
const HANDLER = `port = ${PORT}\nhandlers = ["pg_tls"]`;

describe("a port with pg_tls", async () => {
  const [one, two, header] = [await startNamed("one"), await startNamed("two"), await startNamed("header")];
  const apps = {
    one: rawApp("one", { machines: [one.port], port: HANDLER }),
    two: rawApp("two", { machines: [two.port], port: HANDLER }),
    header: rawApp("header", { machines: [header.port], port: 'port = 5433\nhandlers = ["pg_tls", "proxy_proto"]' }),
    down: rawApp("down", { machines: [await freePort()], port: 'port = 5434\nhandlers = ["pg_tls"]', more: 'wake_timeout = "1ms"' }),
  };
  const node = await startTestNode({ apps, ports: [PORT, 5433, 5434], tables: '[timeouts]\ntls_handshake = "60s"' });
  for (const name of Object.keys(apps)) {
    await eventually(() => node.node.control.machines(name).every(({ state }) => state === "started"), `the machine of ${name}`);
  }
  after(async () => {
    for (const part of [one, two, header, node]) await part[Symbol.asyncDispose]();
  });

  function dial(port = PORT): Socket {
    return connect({ port: node.boundPort(port), host: "127.0.0.1", allowHalfOpen: true });
  }

  async function answer(socket: Socket, request: Buffer): Promise<string> {
    socket.write(request);
    const [chunk] = (await once(socket, "data")) as [Buffer];
    return chunk.toString("latin1");
  }

  async function secure(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
    const secured = connectTls({ socket, ca: rootOf(node), allowHalfOpen: true, ...options } as ConnectionOptions);
    await once(secured, "secureConnect");
    return secured;
  }

  test("says yes to TLS, and the name in it chooses the app", async () => {
    for (const app of ["one", "two"]) {
      const socket = dial();
      assert.equal(await answer(socket, SSL_REQUEST), "S");
      using client = RawClient.of(await secure(socket, { servername: `${app}.localhost` }));
      assert.equal(await client.send("startup").end().untilEnd(), `${app}: startup`);
    }
  });

  test("says no to GSS encryption, and waits for what comes instead", async () => {
    const socket = dial();
    assert.equal(await answer(socket, GSS_REQUEST), "N");
    assert.equal(await answer(socket, SSL_REQUEST), "S");
    using client = RawClient.of(await secure(socket, { servername: "one.localhost" }));
    assert.equal(await client.send("startup").end().untilEnd(), "one: startup");
    const again = dial();
    assert.equal(await answer(again, GSS_REQUEST), "N");
    using refused = RawClient.of(again);
    assert.equal(await refused.send(GSS_REQUEST).untilEnd(), "");
  });

  test("takes TLS from the first byte, of a client that means Postgres", async () => {
    using client = RawClient.of(await secure(dial(), { servername: "one.localhost", ALPNProtocols: ["postgresql"] }));
    assert.equal(await client.send("startup").end().untilEnd(), "one: startup");
    // Without the protocol's name it could be anything.
    using other = RawClient.of(await secure(dial(), { servername: "one.localhost" }));
    assert.equal(await other.send("startup").untilEnd(), "");
    await assert.rejects(secure(dial(), { servername: "one.localhost", ALPNProtocols: ["http/1.1"] }));
  });

  test("tells a client without TLS why it is refused", async () => {
    using client = RawClient.of(dial());
    const startup = Buffer.from("0000001500030000757365720078000000", "hex");
    const said = await client.send(startup).untilEnd();
    assert.match(said, /^E[^]*C28000\0Mthis server is reached over TLS only/);
  });

  test("refuses what comes before TLS was agreed on, a request to cancel, and what is no Postgres", async () => {
    for (const bytes of [
      Buffer.concat([SSL_REQUEST, Buffer.from("x")]),
      Buffer.from("0000001004d2162e0000000100000002", "hex"),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    ]) {
      using client = RawClient.of(dial());
      const said = await client.send(bytes).untilEnd();
      assert.ok(!said.startsWith("S"), said);
    }
  });

  test("says over TLS when no machine can be reached", async () => {
    const socket = dial(5434);
    assert.equal(await answer(socket, SSL_REQUEST), "S");
    using client = RawClient.of(await secure(socket, { servername: "down.localhost" }));
    assert.match(await client.send("startup").untilEnd(), /^E[^]*C57P03\0Mthe machine refused the connection \(connect_refused\)/);
  });

  test("puts the PROXY header in front of what was in TLS", async () => {
    const socket = dial(5433);
    const { localPort } = socket;
    assert.equal(await answer(socket, SSL_REQUEST), "S");
    using client = RawClient.of(await secure(socket, { servername: "header.localhost" }));
    const said = await client.send("startup").end().untilEnd();
    assert.match(said, /^header: PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ 5433\r\nstartup$/);
    assert.notEqual(localPort, 5433);
  });

  test("needs a name only where several apps share it", async () => {
    const shared = dial();
    assert.equal(await answer(shared, SSL_REQUEST), "S");
    await assert.rejects(secure(shared, { servername: "", checkServerIdentity: () => undefined }));
    const alone = dial(5433);
    assert.equal(await answer(alone, SSL_REQUEST), "S");
    using client = RawClient.of(await secure(alone, { servername: "", checkServerIdentity: () => undefined }));
    assert.match(await client.send("x").end().untilEnd(), /x$/);
  });

  test("waits for a request no longer than for a handshake", async () => {
    using client = RawClient.of(dial());
    await node.endsAfter(60_000, client.send(SSL_REQUEST.subarray(0, 5)).untilEnd());
  });
});

const programs = postgresPrograms();

test("psql reaches a real Postgres, verifying the certificate", { skip: programs.missing }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "kittiwake-postgres-"));
  let isUp = false;
  t.after(() => {
    if (isUp) run("pg_ctl", "-D", data, "-m", "immediate", "stop");
    rmSync(dir, { recursive: true, force: true });
  });
  const port = await freePort();
  const data = join(dir, "data");
  // It refuses to run as root.
  const isRoot = process.getuid?.() === 0;
  const id = (flag: string): number => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  const user = isRoot ? { uid: id("-u"), gid: id("-g") } : {};
  const run = (program: string, ...args: string[]): void => {
    execFileSync(programs.at(program), args, { stdio: "pipe", cwd: dir, ...user });
  };
  if (isRoot) chownSync(dir, user.uid!, user.gid!);
  run("initdb", "-D", data, "-U", "gull", "-A", "trust", "--no-sync", "--locale=C");
  run("pg_ctl", "-D", data, "-w", "-l", join(dir, "log"), "-o", `-p ${port} -h 127.0.0.1 -k ${dir} -F`, "start");
  isUp = true;

  const app = rawApp("db", { machines: [port], port: HANDLER });
  await using node = await startTestNode({ apps: { db: app }, ports: [PORT], workers: 2 });
  await eventually(() => node.node.control.machines("db").every(({ state }) => state === "started"), "the machine");
  const root = join(node.dir, "root.pem");
  writeFileSync(root, rootOf(node));
  const psql = async (mode: string, ...sql: string[]): Promise<string> => {
    const host = `host=db.localhost hostaddr=127.0.0.1 port=${node.boundPort(PORT)}`;
    const target = `${host} user=gull dbname=postgres sslmode=${mode} sslrootcert=${root} gssencmode=disable connect_timeout=10`;
    const { stdout } = await promisify(execFile)(programs.at("psql"), ["-XAtq", target, ...sql.flatMap((one) => ["-c", one])]);
    return stdout.trim();
  };
  assert.equal(await psql("verify-full", "select 6 * 7"), "42");
  assert.equal(
    await psql("require", "select count(*) from generate_series(1, 100000)", "select length(repeat('x', 3000000))"),
    "100000\n3000000",
  );
  await assert.rejects(psql("disable", "select 1"), /this server is reached over TLS only/);
  await eventually(() => node.node.control.inFlight("db-1") === 0, "the place to be given back");
});

/** Debian keeps the server's programs where no path leads. */
function postgresPrograms(): { readonly missing: string | false; at(program: string): string } {
  const lib = "/usr/lib/postgresql";
  const folders = existsSync(lib) ? readdirSync(lib).map((version) => join(lib, version, "bin")) : [];
  const find = (program: string): string | undefined => {
    const { status, stdout } = spawnSync("which", [program], { encoding: "utf8" });
    return folders.map((folder) => join(folder, program)).find((path) => existsSync(path)) ?? (status === 0 ? stdout.trim() : undefined);
  };
  const absent = ["psql", "initdb", "pg_ctl"].filter((program) => find(program) === undefined);
  return {
    missing: absent.length > 0 && `not installed: ${absent.join(", ")} (Debian: postgresql)`,
    at: (program) => find(program)!,
  };
}
