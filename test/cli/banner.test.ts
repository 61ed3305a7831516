// What a node that has just started tells people and programs.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { formatBanner, formatReady } from "../../src/cli/banner.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Directory } from "./command.ts";

const LISTENERS = [
  { scheme: "http", publicPort: 80, host: "127.0.0.1", port: 8080 },
  { scheme: "https", publicPort: 443, host: "127.0.0.1", port: 8443 },
  { scheme: "https", publicPort: 443, host: "::1", port: 8443 },
  { scheme: "http", publicPort: 8000, host: "127.0.0.1", port: 8000 },
] as const;

function bannerOf(domain: string, listeners: Parameters<typeof formatReady>[0], app = true): string {
  using directory = new Directory({ "kittiwake.toml": `node = "n1"\nregion = "ams"\ndomain = "${domain}"\napps = ["*.app"]\n` });
  if (app)
    directory.write(
      "hello.app",
      'app = "hello"\nprocesses = { app = "serve" }\n[http_service]\ninternal_port = 8080\nregions = ["ams", "nrt", "ams"]\n',
    );
  const config = loadConfig(`${directory.path}/kittiwake.toml`);
  assert.ok(config.usable);
  return formatBanner({ version: "1.2.3", config, listeners, adminUrl: "http://127.0.0.1:4280", configFlag: " --config x.toml" });
}

describe("the banner", () => {
  test("gives the URL of every app with the real port, and a command to try", () => {
    const banner = bannerOf("localhost", LISTENERS);
    assert.match(banner, /^kittiwake 1\.2\.3: node n1 in region ams, admin API at http:\/\/127\.0\.0\.1:4280$/m);
    assert.match(banner, /^hello +https:\/\/hello\.localhost:8443\/ +ams, nrt$/m);
    assert.match(banner, /^ {2}curl --cacert <\(npx kittiwake certs root --config x\.toml\) https:\/\/hello\.localhost:8443\/$/m);
  });

  test("tells curl where a name is that DNS may not know, and leaves out the usual port", () => {
    const banner = bannerOf("example.com", [{ scheme: "https", publicPort: 443, host: "::", port: 443 }]);
    assert.match(banner, / --resolve hello\.example\.com:443:127\.0\.0\.1 https:\/\/hello\.example\.com\/$/m);
  });

  test("says so when there is no app", () => {
    assert.match(bannerOf("localhost", LISTENERS, false), /^no app is configured yet$/m);
  });
});

describe("the ready line", () => {
  test("has the usual ports on the first address", () => {
    assert.equal(formatReady(LISTENERS, "http://127.0.0.1:4280"), "ready http=127.0.0.1:8080 https=127.0.0.1:8443 admin=127.0.0.1:4280");
  });

  test("writes IPv6 addresses in brackets", () => {
    const listeners = LISTENERS.map((listener) => ({ ...listener, host: "::1" }));
    assert.equal(formatReady(listeners, "http://[::1]:4280"), "ready http=[::1]:8080 https=[::1]:8443 admin=[::1]:4280");
  });
});
