// The command line without a node: help, configuration, regions, certificates, and how commands end.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { Directory, kittiwake, Running } from "./command.ts";

const NODE_TOML = 'region = "ams"\n[admin]\nlisten = "127.0.0.1:1"\n';
const APP_TOML = 'app = "hello"\nprocesses = { app = "serve" }\n[http_service]\ninternal_port = 8080\nregions = ["ams", "nrt"]\n';

describe("help", () => {
  test("names every command and every exit code", async () => {
    using directory = new Directory();
    const { code, stdout, stderr } = await kittiwake(["--help"], directory.path);
    assert.deepEqual([code, stderr], [0, ""]);
    for (const command of ["run", "check", "reload", "status", "machines", "regions", "certs", "explain", "simulate"])
      assert.match(stdout, new RegExp(`^  ${command}\\b`, "m"));
    for (const exit of ["0  done", "1  it failed", "2  the configuration", "3  no node answers"]) assert.ok(stdout.includes(exit), exit);
  });

  test("of a command has its own options and the global ones", async () => {
    using directory = new Directory();
    const { code, stdout } = await kittiwake(["run", "--help"], directory.path);
    assert.equal(code, 0);
    for (const option of ["--keep-machines", "--config", "--admin", "--json"]) assert.ok(stdout.includes(option), option);
  });

  test("is what no command at all gets, as a wrong use", async () => {
    using directory = new Directory();
    const { code, stdout, stderr } = await kittiwake([], directory.path);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^Usage: kittiwake/);
  });
});

test("a command is a program with an exit code", async () => {
  using directory = new Directory({ "kittiwake.toml": NODE_TOML, "apps/hello.toml": APP_TOML });
  await using good = new Running(["check"], directory.path);
  await using bad = new Running(["frobnicate"], directory.path);
  assert.deepEqual(await good.end(), { code: 0, stdout: "kittiwake.toml: valid, 1 app, 2 machines\n", stderr: "" });
  assert.deepEqual([(await bad.end()).code, (await bad.end()).stdout], [2, ""]);
});

test("the version is the package's", async () => {
  using directory = new Directory();
  const { code, stdout } = await kittiwake(["--version"], directory.path);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\S*\n$/);
});

test("wrong use ends with 2 and says what is wrong", async () => {
  using directory = new Directory();
  for (const [args, message] of [
    [["frobnicate"], /unknown command 'frobnicate'/],
    [["chek"], /Did you mean check\?/],
    [["check", "--verbose"], /unknown option '--verbose'/],
    [["explain"], /missing required argument 'url'/],
    [["machines", "stop"], /missing required argument 'machine'/],
    [["machines", "stop", "hello"], /expected an app and a machine, such as kittiwake machines stop hello\/ams; got "hello"/],
    [["machines", "stop", "a/b/c"], /got "a\/b\/c"/],
    [["status", "--admin", "localhost"], /expected --admin http:\/\/HOST:PORT, got "localhost"/],
  ] as const) {
    const { code, stdout, stderr } = await kittiwake(args, directory.path);
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, message);
  }
});

describe("check", () => {
  test("of a good configuration says what it amounts to, and what is not yet in force", async () => {
    using directory = new Directory({
      "kittiwake.toml": NODE_TOML,
      "apps/hello.toml": `${APP_TOML}[kittiwake]\ndriver = "docker"\n`,
    });
    const { code, stdout, stderr } = await kittiwake(["check"], directory.path);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^pending: apps\/hello\.toml:7 kittiwake\.driver: .*understood, not yet in force$/m);
    assert.match(stdout, /^kittiwake\.toml: valid, 1 app, 2 machines, 1 key not yet in force$/m);
  });

  test("of a bad one prints every problem of every file, with its line", async () => {
    using directory = new Directory({
      "kittiwake.toml": 'region = "ams"\nworkers = 0\n[edge]\nbind = ["here"]\n',
      "apps/one.toml": 'app = "one"\nfoo = 1\nprocesses = { app = "serve" }\n[http_service]\ninternal_port = 0\n',
      "apps/two.toml": "app = \n",
    });
    const { code, stdout } = await kittiwake(["check"], directory.path);
    assert.equal(code, 2);
    for (const place of [
      "error: kittiwake.toml:2 workers:",
      "error: kittiwake.toml:4 edge.bind[0]:",
      "error: apps/one.toml:5 http_service.internal_port:",
      "error: apps/two.toml:1",
    ]) {
      assert.ok(stdout.includes(place), `${place}\n${stdout}`);
    }
    assert.match(stdout, /^warning: apps\/one\.toml:2 foo: /m);
    assert.match(stdout, /^kittiwake\.toml: invalid, 4 errors, 1 warning$/m);
  });

  test("of single files tells a fly.toml from a kittiwake.toml, and checks each by itself", async () => {
    using directory = new Directory({
      "kittiwake.toml": 'region = "xyz"\n',
      "fly.toml": `${APP_TOML}[kittiwake]\nidle_timeout = "soon"\n`,
      "good.toml": APP_TOML,
    });
    const { code, stdout } = await kittiwake(["check", "fly.toml", "good.toml", "kittiwake.toml"], directory.path);
    assert.equal(code, 2);
    assert.match(stdout, /^error: fly\.toml:7 kittiwake\.idle_timeout: expected a duration, got "soon"$/m);
    assert.match(stdout, /^fly\.toml: invalid, 1 error$/m);
    assert.match(stdout, /^good\.toml: valid$/m);
    assert.match(stdout, /^error: kittiwake\.toml:1 region: /m);
    assert.equal((await kittiwake(["check", "good.toml"], directory.path)).code, 0);
  });

  test("prints JSON for programs", async () => {
    using directory = new Directory({ "other.toml": "region = 1\n" });
    const { code, stdout } = await kittiwake(["--json", "check", "--config", "other.toml"], directory.path);
    assert.equal(code, 2);
    const { valid, problems } = JSON.parse(stdout) as { valid: boolean; problems: readonly object[] };
    const [{ severity, file, line, key }] = problems as [{ severity: string; file: string; line: number; key: string }];
    assert.deepEqual([valid, severity, file, line, key], [false, "error", "other.toml", 1, "region"]);
  });

  test("finds the configuration in the working directory, in config/ and in the environment", async () => {
    using directory = new Directory({ "config/kittiwake.toml": NODE_TOML, "elsewhere.toml": "region = 1\n" });
    assert.match((await kittiwake(["check"], directory.path)).stdout, /^config\/kittiwake\.toml: valid/m);
    const fromEnv = await kittiwake(["check"], directory.path, { KITTIWAKE_CONFIG: "elsewhere.toml" });
    assert.match(fromEnv.stdout, /^elsewhere\.toml: invalid/m);
  });

  test("without any configuration says how to name one", async () => {
    using directory = new Directory();
    const { code, stderr } = await kittiwake(["check"], directory.path);
    assert.equal(code, 2);
    assert.match(stderr, /there is no kittiwake\.toml here; name one with --config/);
    assert.match((await kittiwake(["check", "--config", "no.toml"], directory.path)).stdout, /error: no\.toml: there is no such file/);
  });
});

describe("regions", () => {
  test("are sorted by their distance from the one that is named", async () => {
    using directory = new Directory();
    const { code, stdout } = await kittiwake(["regions", "--from", "ams"], directory.path);
    assert.equal(code, 0);
    const [heads, first, ...rest] = stdout.trimEnd().split("\n");
    assert.match(heads ?? "", /^CODE +NAME +COUNTRY +RTT +SOURCE$/);
    assert.match(first ?? "", /^ams +Amsterdam +NL +1 ms +estimated$/);
    assert.ok(rest.length >= 39);
  });

  test("take the configuration's region and its measurements", async () => {
    using directory = new Directory({
      "kittiwake.toml": 'region = "home"\n[regions]\ntable = "regions.toml"\n',
      "regions.toml":
        '[[region]]\ncode = "home"\nname = "Attic"\ncountry = "DE"\nlatitude = 52.4\nlongitude = 13.1\n[[rtt]]\nfrom = "home"\nto = "nrt"\nms = 0.5\n',
    });
    const { code, stdout } = await kittiwake(["regions", "--json"], directory.path);
    const { from, regions } = JSON.parse(stdout) as { from: string; regions: readonly { code: string; rtt_ms: number; source: string }[] };
    assert.deepEqual([code, from], [0, "home"]);
    assert.deepEqual(
      regions.slice(0, 2).map(({ code: region, rtt_ms: rttMs, source }) => [region, rttMs, source]),
      [
        ["nrt", 0.5, "measured"],
        ["home", 1, "estimated"],
      ],
    );
  });

  test("from nowhere, or from a place that is none, are an invalid question", async () => {
    using directory = new Directory();
    assert.equal((await kittiwake(["regions"], directory.path)).code, 2);
    const { code, stderr } = await kittiwake(["regions", "--from", "xyz"], directory.path);
    assert.equal(code, 2);
    assert.match(stderr, /there is no region "xyz"/);
  });
});

describe("certs root", () => {
  test("makes the authority before the first run, and prints the same one ever after", async () => {
    using directory = new Directory({ "kittiwake.toml": 'region = "ams"\ndata_dir = "state"\n', "apps/broken.toml": "app = 1\n" });
    const first = await kittiwake(["certs", "root"], directory.path);
    assert.deepEqual([first.code, first.stderr], [0, ""]);
    assert.ok(new X509Certificate(first.stdout).ca);
    assert.ok(existsSync(join(directory.path, "state/ca")));
    assert.equal((await kittiwake(["certs", "root"], directory.path)).stdout, first.stdout);
  });

  test("of a damaged authority fails and leaves it alone", async () => {
    using directory = new Directory({ "kittiwake.toml": NODE_TOML, "data/ca/root.pem": "damaged" });
    const { code, stdout, stderr } = await kittiwake(["certs", "root"], directory.path);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^kittiwake: the local CA in ".*data\/ca" lacks root-key\.pem; restore it/);
  });
});

describe("a command for a node", () => {
  test("ends with 3 when none answers, whichever it is", async () => {
    using directory = new Directory({ "kittiwake.toml": NODE_TOML });
    for (const args of [["status"], ["reload"], ["machines", "list"], ["machines", "stop", "hello/ams"], ["explain", "hello.localhost"]]) {
      const { code, stdout, stderr } = await kittiwake(args, directory.path);
      assert.deepEqual(
        [code, stdout, stderr],
        [3, "", "kittiwake: no node answers at http://127.0.0.1:1; is `kittiwake run` active?\n"],
        args.join(" "),
      );
    }
  });

  test("that the configuration does not lead to ends with 2", async () => {
    using directory = new Directory({
      "kittiwake.toml": 'region = "ams"\n[admin]\nlisten = "127.0.0.1:0"\n',
      "bad.toml": "[admin]\nlisten = 1\n",
    });
    const anyPort = await kittiwake(["status"], directory.path);
    assert.equal(anyPort.code, 2);
    assert.match(anyPort.stderr, /any free port; name the node with --admin/);
    const bad = await kittiwake(["status", "--config", "bad.toml"], directory.path);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /bad\.toml:2 admin\.listen: /);
  });
});
