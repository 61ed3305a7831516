// The log as files, pipes and threads see it.

import assert from "node:assert/strict";
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";

import { ProxyError } from "../../src/core/errors.ts";
import { createLog, logFailure, type NodeLog } from "../../src/telemetry/log.ts";

const directory = mkdtempSync(join(tmpdir(), "kittiwake-log-"));
after(() => rmSync(directory, { recursive: true }));

let files = 0;
const newPath = (): string => join(directory, `${++files}.log`);

type Line = Readonly<Record<string, unknown>>;

const parse = (content: string): Line[] =>
  content
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);

async function linesOf(write: (log: NodeLog) => void): Promise<Line[]> {
  const path = newPath();
  const log = createLog({ level: "debug", destination: path });
  write(log);
  await log.close();
  return parse(readFileSync(path, "utf8"));
}

const WRITER = join(import.meta.dirname, "log-writer.ts");

function startWriter(role: string): ChildProcess {
  return fork(WRITER, [role], { stdio: ["ignore", "pipe", "pipe", "ipc"] });
}

test("a line is JSON with time, level, name and message", async () => {
  const path = newPath();
  const log = createLog({ level: "info", destination: path, name: "ams-1" });
  log.debug("too fine");
  log.info({ app: "hello" }, "woke");
  await log.close();
  const [line, ...rest] = parse(readFileSync(path, "utf8"));
  assert.equal(rest.length, 0);
  assert.deepEqual({ ...line, time: "" }, { level: "info", time: "", name: "ams-1", app: "hello", msg: "woke" });
  assert.ok(Math.abs(Date.parse(String(line?.["time"])) - Date.now()) < 60_000);
});

test("a log file is its owner's alone, and is appended to", async () => {
  const path = newPath();
  for (const message of ["first", "second"]) {
    const log = createLog({ level: "info", destination: path });
    log.info(message);
    await log.close();
  }
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(
    parse(readFileSync(path, "utf8")).map(({ msg }) => msg),
    ["first", "second"],
  );
});

test("after a rotation the log goes on in a new file, and no line is lost", async () => {
  const path = newPath();
  const log = createLog({ level: "info", destination: path });
  for (let count = 0; count < 50; count++) log.info({ count }, "before");
  renameSync(path, `${path}.1`);
  log.reopen();
  for (let count = 50; count < 100; count++) log.info({ count }, "after");
  await log.close();
  const counts = [`${path}.1`, path]
    .flatMap((file) => (existsSync(file) ? parse(readFileSync(file, "utf8")) : []))
    .map(({ count }) => count);
  assert.deepEqual(
    counts,
    Array.from({ length: 100 }, (_, count) => count),
  );
  assert.ok(parse(readFileSync(path, "utf8")).some(({ msg }) => msg === "after"));
});

test("secrets do not reach the log", async () => {
  const secret = "opensesame";
  const lines = await linesOf((log) => {
    log.info({ token: secret, password: secret, privateKeyPem: secret }, "at the top");
    log.info({ headers: { authorization: secret, cookie: secret, "set-cookie": secret, accept: "text/html" } }, "in headers");
    log.info({ certificate: { hostname: "a.example", privateKeyPem: secret } }, "in a certificate");
    log.child({ api_key: secret }).info("in a child's fields");
  });
  assert.equal(lines.length, 4);
  assert.ok(!JSON.stringify(lines).includes(secret), JSON.stringify(lines));
  assert.equal((lines[1]!["headers"] as Line)["accept"], "text/html");
});

test("a log file that cannot be opened is refused at the start", () => {
  const path = join(directory, "none", "node.log");
  assert.throws(() => createLog({ level: "info", destination: path }), {
    code: "config_invalid",
    message: /cannot write the log to ".*none/,
  });
});

test("the level of a failure follows its blame", async () => {
  const lines = await linesOf((log) => {
    logFailure(log, new ProxyError("client_closed"));
    logFailure(log, new ProxyError("connect_refused", undefined, { cause: new Error("ECONNREFUSED") }), { machine: "m1" });
    logFailure(log, new ProxyError("internal", "this cannot happen"));
    logFailure(log, new TypeError("x is not a function"));
    logFailure(log, "a string");
  });
  assert.deepEqual(
    lines.map(({ level, code }) => `${String(level)} ${String(code)}`),
    ["debug client_closed", "warn connect_refused", "error internal", "error internal", "error internal"],
  );
  assert.equal(lines[1]?.["machine"], "m1");
  assert.equal(lines[1]?.["cause"], "ECONNREFUSED");
  assert.equal(lines[1]?.["err"], undefined);
  assert.match(String((lines[3]!["err"] as Line)["stack"]), /x is not a function\n\s+at /);
});

test("lines that several threads write to one pipe stay whole", async () => {
  // Between Node processes there are sockets; the shell makes it a pipe. Small bites keep it full, which is when writes get split.
  const shell = spawn("sh", ["-c", '"$0" "$1" threads | dd bs=512 2>/dev/null', process.execPath, WRITER], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = parse(await text(shell.stdout));
  assert.equal(lines.length, 4 * 400);
  assert.ok(lines.every(({ msg }) => msg === "a line"));
});

test("a reader that does not read costs lines, and neither time nor memory without bound", async () => {
  const writer = startWriter("flood");
  await once(writer, "message");
  const [content] = await Promise.all([text(writer.stdout!), new Promise((resolve) => writer.send("read", resolve))]);
  const lines = parse(content);
  const kept = lines.filter(({ msg }) => msg === "a line").length;
  const dropped = lines.filter(({ level }) => level === "warn").reduce((sum, { lines: count }) => sum + Number(count), 0);
  assert.ok(kept >= 3_000 && kept < 5_000, `${kept} lines were kept`);
  assert.equal(kept + dropped, 8_000);
});

test("a reader that leaves does not end the process", async () => {
  const writer = startWriter("broken-pipe");
  const complaint = text(writer.stderr!);
  await once(writer, "message");
  writer.stdout!.destroy();
  await once(writer.stdout!, "close");
  writer.send("log");
  assert.deepEqual(await once(writer, "message"), ["alive", undefined]);
  assert.deepEqual(await once(writer, "exit"), [0, null]);
  assert.match(await complaint, /^kittiwake: cannot write the log to stdout: .*EPIPE.*\n$/);
});

test("a file that existed keeps what it said and its mode", async () => {
  const path = newPath();
  writeFileSync(path, '{"msg":"old"}\n', { mode: 0o640 });
  const log = createLog({ level: "info", destination: path });
  log.info("new");
  await log.close();
  assert.deepEqual(
    parse(readFileSync(path, "utf8")).map(({ msg }) => msg),
    ["old", "new"],
  );
  assert.equal(statSync(path).mode & 0o777, 0o640);
});
