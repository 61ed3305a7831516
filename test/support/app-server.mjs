// The program of a machine in behaviour tests. Plain JavaScript, so that a start costs as little as it can. Answers with who it is, and
// does what its path says. What it is to do from the beginning is in its environment; see apps.ts.

import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const { PORT, BOOT_MS = "0", STOP_MS = "0", EXIT_CODE, STARTS_FILE, SICK_FILES, COLOR = "" } = process.env;
const { FLY_REGION: region, FLY_APP_NAME: app, FLY_MACHINE_ID: machine } = process.env;

/** By key: those who wait for /release. */
const held = new Map();
let atOnce = 0;
let mostAtOnce = 0;
let served = 0;
/** From the start of this program until it listened. */
let bootMs = 0;

if (STARTS_FILE !== undefined) appendFileSync(STARTS_FILE, `${process.pid}\n`);
if (EXIT_CODE !== undefined) process.exit(Number(EXIT_CODE));
if (Number(BOOT_MS) > 0) await delay(Number(BOOT_MS));

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://app");
  const key = searchParams.get("key") ?? "";
  switch (pathname) {
    case "/health":
      response.statusCode = SICK_FILES !== undefined && existsSync(`${SICK_FILES}-${region}`) ? 500 : 200;
      break;
    case "/slow":
      await delay(Number(searchParams.get("ms")));
      break;
    case "/hold":
      await holding(key);
      break;
    case "/release":
      for (const release of held.get(key) ?? []) release();
      held.delete(key);
      break;
    case "/stream":
      await stream(response, holding(key));
      return;
    case "/busy":
      response.setHeader("kittiwake-busy", searchParams.get("s"));
      break;
    case "/busy-file":
      writeFileSync(process.env.KITTIWAKE_BUSY_FILE, searchParams.get("s"));
      break;
    case "/headers":
      for (const [name, value] of searchParams) response.setHeader(name, value);
      break;
    case "/exit":
      response.once("close", () => process.exit(Number(searchParams.get("code"))));
      break;
    default:
  }
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ pid: process.pid, app, region, machine, color: COLOR, mostAtOnce, served, bootMs }));
}

function holding(key) {
  return new Promise((resolve) => held.set(key, [...(held.get(key) ?? []), resolve]));
}

/** A line every few milliseconds until it is released. */
async function stream(response, released) {
  let isOver = false;
  void released.then(() => (isOver = true));
  response.once("close", () => (isOver = true));
  for (let line = 1; !isOver; line++) {
    response.write(`${line}\n`);
    await delay(5);
  }
  response.end("end\n");
}

const server = createServer((request, response) => {
  const isProbe = request.url === "/health" || request.url.startsWith("/release");
  if (!isProbe) {
    served++;
    atOnce++;
    mostAtOnce = Math.max(mostAtOnce, atOnce);
    response.once("close", () => atOnce--);
  }
  void answer(request, response);
});

server.on("upgrade", async (request, socket, head) => {
  const { WebSocketServer } = await import("ws");
  new WebSocketServer({ noServer: true }).handleUpgrade(request, socket, head, (client) => {
    client.on("message", (data) => client.send(`${process.pid} ${data}`));
  });
});

process.on("SIGINT", () => {
  server.close();
  setTimeout(() => process.exit(0), Number(STOP_MS));
});
server.listen(Number(PORT), "127.0.0.1", () => (bootMs = performance.now()));
