// The commands that ask a node, against the real admin API in front of a sample node.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { RunningServer } from "../admin/running-server.ts";
import { Directory, type Ended, kittiwake } from "./command.ts";

const TOKEN = "0123456789abcdef";

async function ask(server: RunningServer, ...args: string[]): Promise<Ended> {
  using directory = new Directory();
  return await kittiwake(["--admin", server.url, ...args], directory.path);
}

describe("status", () => {
  test("shows the node, its listeners and its apps", async () => {
    await using server = await RunningServer.start();
    const { code, stdout } = await ask(server, "status");
    assert.equal(code, 0);
    assert.match(stdout, /^node ams-1 in region ams: ready, up /m);
    assert.match(stdout, /^1 workers \(1 restarts\), 7 client connections, 2 requests waiting for a machine$/m);
    assert.match(stdout, /^https +127\.0\.0\.1:8443 +443$/m);
    assert.match(stdout, /^hello +3 +1 +hello\.localhost$/m);
  });

  test("prints what the API says as JSON", async () => {
    await using server = await RunningServer.start();
    const { stdout } = await ask(server, "status", "--json");
    assert.deepEqual(JSON.parse(stdout), (await server.json("/status"))[1]);
  });

  test("finds address and token in the configuration, even while the rest of it is broken", async () => {
    await using server = await RunningServer.start({ token: TOKEN });
    const { host, port } = server.address;
    const admin = `[admin]\nlisten = "${host}:${port}"\n`;
    using directory = new Directory({ "kittiwake.toml": `regoin = 1\n${admin}token_file = "token"\n`, token: TOKEN, "open.toml": admin });
    assert.equal((await kittiwake(["status"], directory.path)).code, 0);

    const without = await kittiwake(["status", "--config", "open.toml"], directory.path);
    assert.deepEqual([without.code, without.stderr], [1, "kittiwake: expected a token: authorization: Bearer <token>\n"]);
    assert.equal((await kittiwake(["status", "--admin", server.url], directory.path, { KITTIWAKE_TOKEN: TOKEN })).code, 0);
  });
});

describe("machines", () => {
  test("are listed with state and load, those of all apps or of one", async () => {
    await using server = await RunningServer.start();
    const { code, stdout } = await ask(server, "machines", "list");
    assert.equal(code, 0);
    assert.match(stdout, /^APP +NAME +ID +REGION +STATE +FOR +HEALTH +IN FLIGHT +REASON$/m);
    assert.match(stdout, /^hello +ams +hello-ams +ams +started +\S+ +passing +5$/m);
    assert.match(stdout, /^hello +nrt +hello-nrt +nrt +suspended +\S+ +- +0 +idle$/m);
    assert.equal((JSON.parse((await ask(server, "machines", "list", "hello", "--json")).stdout) as unknown[]).length, 3);
    const missing = await ask(server, "machines", "list", "nope");
    assert.deepEqual([missing.code, missing.stderr], [1, 'kittiwake: there is no app "nope"\n']);
  });

  test("are started, stopped and suspended, by one word or by two", async () => {
    await using server = await RunningServer.start();
    assert.deepEqual(await ask(server, "machines", "start", "hello/nrt"), { code: 0, stdout: "hello/nrt is started\n", stderr: "" });
    assert.equal((await ask(server, "machines", "suspend", "hello", "hello-nrt")).stdout, "hello/nrt is suspended\n");
    const stopped = await ask(server, "machines", "stop", "hello/nrt", "--json");
    assert.equal((JSON.parse(stopped.stdout) as { state: string }).state, "stopped");
    assert.deepEqual(server.control.asked, ["start hello hello-nrt", "suspend hello hello-nrt", "stop hello hello-nrt"]);
  });

  test("that cannot do what is asked end the command with 1", async () => {
    await using server = await RunningServer.start();
    const { code, stdout, stderr } = await ask(server, "machines", "suspend", "hello/ord");
    assert.deepEqual([code, stdout, stderr], [1, "", "kittiwake: the machine is stopped\n"]);
  });
});

describe("explain", () => {
  test("shows the candidates, marks the chosen one, and concludes", async () => {
    await using server = await RunningServer.start();
    const { code, stdout } = await ask(server, "explain", "https://hello.localhost/", "--from", "nrt");
    assert.equal(code, 0);
    assert.match(stdout, /^https:\/\/hello\.localhost\/ from nrt$/m);
    assert.match(stdout, /^app hello, public port 443, service tcp-8080 \(internal port 8080\)$/m);
    assert.match(stdout, /^> +ams +ams +1 ms estimated +started +passing +5 +20 +none +in +up and has room$/m);
    assert.match(stdout, /^hello\/ams gets the request: nearest machine that is up$/m);
  });

  test("issue 5 part 10: passes client, headers and what-ifs on, and shows every rule", async () => {
    await using server = await RunningServer.start();
    const question = [
      "--client",
      "192.0.2.1",
      "--header",
      "fly-prefer-region: nrt",
      "--down",
      "ams",
      "--down",
      "ord",
      "--load",
      "hello/ams=3",
    ];
    const { code, stdout } = await ask(server, "explain", "hello.localhost", ...question);
    assert.equal(code, 0);
    assert.match(stdout, /^access: 192\.0\.2\.1 may come$/m);
    assert.match(stdout, /^what_if: \{"headers":\[\["fly-prefer-region","nrt"\]\],"down":\["ams","ord"\],"load":\{"hello\/ams":3\}\}$/m);
    const bad = await ask(server, "explain", "hello.localhost", "--client", "nobody");
    assert.match(bad.stderr, /expected at most one client, by its IP address/);
    assert.notEqual(bad.code, 0);
  });

  test("of a host that nobody declares ends with 1", async () => {
    await using server = await RunningServer.start();
    const { code, stderr } = await ask(server, "explain", "https://other.localhost/");
    assert.equal(code, 1);
    assert.match(stderr, /no app declares/);
  });
});

describe("reload", () => {
  test("says what has changed", async () => {
    await using server = await RunningServer.start();
    assert.deepEqual(await ask(server, "reload"), { code: 0, stdout: "reloaded: added new\n  a warning\n", stderr: "" });
  });

  test("of a configuration that the node refuses ends with 2 and says why", async () => {
    await using server = await RunningServer.start();
    server.control.reloadResult = { applied: false, messages: ["hello.toml:3: bad"], added: [], changed: [], removed: [] };
    const { code, stdout, stderr } = await ask(server, "reload");
    assert.deepEqual([code, stdout, stderr], [2, "", "not reloaded: the old configuration stays in force\n  hello.toml:3: bad\n"]);
  });
});
