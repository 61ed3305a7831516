// What an authority is spared: more new names a week than it allows, and everybody's attempts while it is in trouble.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { AuthorityPace, DirectoryPace, WeeklyLimit } from "../../src/certs/ca-limits.ts";
import { isOrderable, registeredDomain } from "../../src/certs/public-name.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2030, 0, 1);

describe("new names of a week", () => {
  const ordered = Array.from({ length: 49 }, (_, day) => ({ name: `app-${day}.example.com`, atMs: NOW_MS - 6 * DAY_MS + day }));

  test("are free below the limit, and under other domains", () => {
    const limit = new WeeklyLimit(50, ordered, NOW_MS);
    assert.ok(limit.freeAtMs("new.example.com") <= NOW_MS);
    limit.add("new.example.com", NOW_MS);
    assert.ok(limit.freeAtMs("new.example.org") <= NOW_MS);
  });

  test("wait at the limit until the oldest of them is a week old", () => {
    const limit = new WeeklyLimit(50, ordered, NOW_MS);
    limit.add("new.example.com", NOW_MS);
    assert.equal(limit.freeAtMs("newer.example.com"), NOW_MS + DAY_MS);
  });

  test("of earlier weeks do not count, and without a limit none do", () => {
    const old = ordered.map(({ name, atMs }) => ({ name, atMs: atMs - 7 * DAY_MS }));
    const limit = new WeeklyLimit(50, old, NOW_MS);
    limit.add("new.example.com", NOW_MS);
    assert.ok(limit.freeAtMs("newer.example.com") <= NOW_MS);
    assert.equal(new WeeklyLimit(0, ordered, NOW_MS).freeAtMs("newer.example.com"), -Infinity);
  });

  test("count by what is registered", () => {
    assert.equal(registeredDomain("a.b.example.com"), "example.com");
    assert.equal(registeredDomain("*.example.com"), "example.com");
    assert.equal(registeredDomain("shop.example.co.uk"), "example.co.uk");
    assert.equal(registeredDomain("example.de"), "example.de");
  });
});

describe("a directory", () => {
  test("is not in trouble because of one name", () => {
    const pace = new DirectoryPace();
    for (let count = 0; count < 5; count++) pace.onTrouble("a.example.com", null, NOW_MS);
    assert.equal(pace.opensAtMs, -Infinity);
  });

  test("that fails two names is tried once a minute, until it answers one", () => {
    const pace = new DirectoryPace();
    pace.onTrouble("a.example.com", null, NOW_MS);
    pace.onTrouble("b.example.com", null, NOW_MS);
    assert.equal(pace.opensAtMs, NOW_MS + MINUTE_MS);
    pace.onStart(NOW_MS + MINUTE_MS);
    assert.equal(pace.opensAtMs, NOW_MS + 2 * MINUTE_MS);
    pace.onAnswer();
    assert.equal(pace.opensAtMs, -Infinity);
  });

  test("is left alone for as long as it asked, up to a quarter of an hour", () => {
    const pace = new DirectoryPace();
    pace.onTrouble("a.example.com", 5 * MINUTE_MS, NOW_MS);
    pace.onTrouble("b.example.com", DAY_MS, NOW_MS);
    assert.equal(pace.opensAtMs, NOW_MS + 15 * MINUTE_MS);
  });
});

describe("an authority", () => {
  test("that limits two names of a domain is asked for that domain once a minute, and for others as before", () => {
    const pace = new AuthorityPace();
    pace.onLimited("a.example.com", NOW_MS);
    assert.equal(pace.opensAtMs("c.example.com"), -Infinity);
    pace.onLimited("b.example.com", NOW_MS);
    assert.equal(pace.opensAtMs("c.example.com"), NOW_MS + MINUTE_MS);
    assert.equal(pace.opensAtMs("c.example.org"), -Infinity);
    pace.onStart("c.example.com", NOW_MS + MINUTE_MS);
    assert.equal(pace.opensAtMs("d.example.com"), NOW_MS + 2 * MINUTE_MS);
    pace.onAnswer("c.example.com");
    assert.equal(pace.opensAtMs("d.example.com"), -Infinity);
  });

  test("that limits names of two domains limits all", () => {
    const pace = new AuthorityPace();
    pace.onLimited("a.example.com", NOW_MS);
    pace.onLimited("a.example.org", NOW_MS);
    assert.equal(pace.opensAtMs("a.example.net"), NOW_MS + MINUTE_MS);
    pace.onAnswer("a.example.net");
    assert.equal(pace.opensAtMs("b.example.net"), -Infinity);
  });

  test("that is away is away for all names", () => {
    const pace = new AuthorityPace();
    pace.onAway("a.example.com", -1, NOW_MS);
    pace.onAway("b.example.com", 5 * MINUTE_MS, NOW_MS);
    assert.equal(pace.opensAtMs("c.example.org"), NOW_MS + 5 * MINUTE_MS);
  });
});

describe("a name", () => {
  const letsEncrypt = new URL("https://acme-v02.api.letsencrypt.org/directory");

  test("that is public can be ordered, as a wildcard too", () => {
    for (const name of ["example.com", "a.b.example.org", "*.example.com", "local.dev", "test.example.net"]) {
      assert.equal(isOrderable(name, letsEncrypt), true, name);
    }
  });

  test("that leads nowhere from outside is the local authority's", () => {
    const names = [
      "localhost",
      "hello.localhost",
      "a.local",
      "x.internal",
      "x.test",
      "nas.home.arpa",
      "x.lan",
      "10.0.0.1",
      "::1",
      "intranet",
    ];
    for (const name of names) assert.equal(isOrderable(name, letsEncrypt), false, name);
  });

  test("that is private can be ordered of an authority that is private itself", () => {
    for (const directory of ["https://ca.internal/acme/directory", "https://10.0.0.1/directory", "https://[::1]:14000/dir"]) {
      assert.equal(isOrderable("app.corp.internal", new URL(directory)), true, directory);
      assert.equal(isOrderable("hello.localhost", new URL(directory)), false);
      assert.equal(isOrderable("10.0.0.2", new URL(directory)), false);
    }
  });
});
