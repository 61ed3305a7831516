import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { loadConfig } from "../../src/config/load.ts";
import { formatProblem } from "../../src/config/problems.ts";

const cwd = join(import.meta.dirname, "broken");

/** Every line that each broken file yields. The node's files are loaded alone, the apps' all together by all-apps.toml. */
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  "kittiwake-contradictions.toml": [
    "error kittiwake-contradictions.toml:5 edge.ports.443: port 8080 is bound for public port 80 already",
    'error kittiwake-contradictions.toml:11 admin.listen: expected a loopback address, got "0.0.0.0"; give a token or token_file to listen elsewhere',
    'error kittiwake-contradictions.toml:14 state.servers: engine "sqlite" has no servers; remove them or set engine = "nats"',
    "pending kittiwake-contradictions.toml:14 state.servers: understood, not yet in force",
    "error kittiwake-contradictions.toml:18 limits.target_bytes: expected at most head_bytes (4096), got 8192",
  ],
  "kittiwake-missing-files.toml": [
    'error kittiwake-missing-files.toml:2 apps[1]: there is no file "no-such-app.toml"',
    'warning kittiwake-missing-files.toml:2 apps[0]: "nothing-here/*.toml" matches no file',
    'error kittiwake-missing-files.toml:6 admin.token_file: there is no such file: "no-such-token"',
    'error kittiwake-missing-files.toml:11 state.servers: missing; engine "nats" needs at least one server',
    'pending kittiwake-missing-files.toml:12 state.engine: "nats" is understood, not yet in force',
    "error no-such-regions.toml: there is no such file",
  ],
  "kittiwake-syntax.toml": ["error kittiwake-syntax.toml:5: expected valid TOML: expected comma or end of structure, in column 1"],
  "kittiwake-unknown-keys.toml": [
    'error kittiwake-unknown-keys.toml:1 region: missing; expected a region code such as "ams"',
    "error kittiwake-unknown-keys.toml:1 regoin: unknown key; did you mean region?",
    "error kittiwake-unknown-keys.toml:3 listen: unknown key; did you mean admin.listen?",
    "error kittiwake-unknown-keys.toml:6 edge.binds: unknown key; did you mean bind?",
    "error kittiwake-unknown-keys.toml:7 edge.colour: unknown key; known here: bind, ports, proxy_protocol_from and trusted_proxies",
    "error kittiwake-unknown-keys.toml:10 timeouts.upstream_conect: unknown key; did you mean upstream_connect?",
    "error kittiwake-unknown-keys.toml:11 timeouts.idle: unknown key; did you mean udp_idle?",
    "error kittiwake-unknown-keys.toml:14 tls.acme.challenge: unknown key; did you mean challenges?",
  ],
  "kittiwake-wrong-types.toml": [
    'error kittiwake-wrong-types.toml:1 node: expected a name of at most 63 letters, digits, dots, dashes and underscores, got "edge one"',
    'error kittiwake-wrong-types.toml:2 region: expected the code of a region, got "amz"; did you mean "ams"?',
    'error kittiwake-wrong-types.toml:3 workers: expected a whole number from 1 to 256, got "two"',
    'error kittiwake-wrong-types.toml:4 domain: expected a host name, got "-.example"',
    'error kittiwake-wrong-types.toml:8 edge.bind[1]: expected an IP address such as "127.0.0.1" or "::1", got "localhost"',
    'error kittiwake-wrong-types.toml:9 edge.ports.80: expected a whole number from 0 to 65535, got "8080"',
    "error kittiwake-wrong-types.toml:9 edge.ports.443: expected a whole number from 0 to 65535, got 84430",
    "error kittiwake-wrong-types.toml:9 edge.ports.https: expected a port from 1 to 65535 as the key",
    'error kittiwake-wrong-types.toml:12 admin.listen: expected an address such as "127.0.0.1:9000", got 4280',
    'error kittiwake-wrong-types.toml:15 log.level: expected "trace", "debug", "info", "warn", "error", "fatal" or "silent", got "loud"',
    'error kittiwake-wrong-types.toml:18 timeouts.request_head: expected a duration, got "15 parsecs"',
    "error kittiwake-wrong-types.toml:19 timeouts.upstream_connect: expected a duration, got 5",
    'error kittiwake-wrong-types.toml:20 timeouts.upstream_idle: expected a duration of at least 1ms, got "0s"',
    'error kittiwake-wrong-types.toml:21 timeouts.drain: expected a duration of at most 576h, got "1000h"',
    "error kittiwake-wrong-types.toml:24 limits.attempts: expected a whole number from 1 to 1000, got 0",
    "error kittiwake-wrong-types.toml:25 limits.headers: expected a whole number from 16 to 2000, got 99.5",
    'error kittiwake-wrong-types.toml:28 state.engine: expected "sqlite" or "nats", got a list of 1',
  ],
  "fly-durations.toml": [
    'error fly-durations.toml:2 kill_timeout: expected a duration, got "soon"',
    'error fly-durations.toml:8 http_service.internal_port: expected a port from 1 to 65535, got "eighty"',
    'error fly-durations.toml:11 http_service.checks[0].interval: expected a duration, got "15 parsecs"',
    "warning fly-durations.toml:12 http_service.checks[0].timeout: expected 1s to 60s, got 500ms; 1s is used",
    "warning fly-durations.toml:13 http_service.checks[0].grace_period: expected 1s to 60s, got 1m30s; 1m is used",
    'error fly-durations.toml:16 http_service.checks[1].interval: expected a duration of at least 0s, got "-5s"',
    'error fly-durations.toml:17 http_service.checks[1].path: expected a path that starts with "/", got "health"',
    'error fly-durations.toml:18 http_service.checks[1].headers."X Probe": expected a header name as the key',
    "error fly-durations.toml:22 checks.deep.interval: expected at least 2s, got 1s",
    "error fly-durations.toml:23 checks.deep.timeout: expected at most 60s, got 2m",
    "error fly-durations.toml:26 kittiwake.idle_timeout: expected a duration, got 300",
    'error fly-durations.toml:27 kittiwake.wake_timeout: expected a duration of at least 1ms, got "0s"',
  ],
  "fly-groups.toml": [
    'error fly-groups.toml:5 processes.worker: empty; driver "process" needs the command line that starts this group',
    'error fly-groups.toml:8 http_service.processes[1]: expected a process group (web, worker), got "wroker"',
    "error fly-groups.toml:10 services[0].processes: missing; name the process groups that this service is for: web, worker",
    'error fly-groups.toml:16 restart[0].policy: expected "always", "never" or "on-failure", got "sometimes"',
    'error fly-groups.toml:17 restart[0].processes[0]: expected a process group (web, worker), got "cron"',
    "error fly-groups.toml:20 env.FLY_REGION: names that start with FLY_ are Kittiwake's own",
    "error fly-groups.toml:21 env.LIST: expected a string, number or boolean, got a list of 2",
  ],
  "fly-machines.toml": [
    'error fly-machines.toml:1 app: expected a name of at most 63 lower-case letters, digits and inner dashes, got "Machines"',
    'warning fly-machines.toml:5 http_service.auto_stop_machines: driver "static" cannot stop machines',
    'error fly-machines.toml:6 http_service.regions[2]: expected a region code such as "ams", got "Nrt"',
    'error fly-machines.toml:6 http_service.regions[1]: expected the code of a region, got "xyz"; did you mean "yyz"?',
    "warning fly-machines.toml:6 http_service.regions: [[kittiwake.machines]] says where the machines are",
    'error fly-machines.toml:10 kittiwake.hostnames[1]: expected a host name, got "not a host"',
    'error fly-machines.toml:10 kittiwake.hostnames[2]: expected a host name, got "10.0.0.1"',
    'error fly-machines.toml:18 kittiwake.machines[1].id: "m1" is at fly-machines.toml:13 already',
    'error fly-machines.toml:19 kittiwake.machines[1].region: expected the code of a region, got "nrx"; did you mean "nrt"?',
    'error fly-machines.toml:20 kittiwake.machines[1].address: expected an address such as "127.0.0.1:9000", got "127.0.0.1"',
    'error fly-machines.toml:22 kittiwake.machines[2].address: missing; driver "static" needs one for each machine',
    'error fly-machines.toml:24 kittiwake.machines[2].group: expected a process group (app), got "db"',
  ],
  "fly-ports.toml": [
    'error fly-ports.toml:6 services[0].protocol: missing; expected "tcp" or "udp"',
    "error fly-ports.toml:10 services[0].ports[0].port: expected a port from 1 to 65535, got 70000",
    'error fly-ports.toml:12 services[0].ports[0].force_https: expected handlers to have "http"',
    'error fly-ports.toml:15 services[0].ports[1].port: expected a port from 1 to 65535, got "https"',
    'error fly-ports.toml:16 services[0].ports[1].handlers[0]: expected "http", "tls", "pg_tls", "proxy_proto" or "edge_http", got "https"',
    "error fly-ports.toml:21 services[0].ports[2].end_port: expected at least start_port (9000), got 8000",
    "error fly-ports.toml:23 services[0].ports[3].port: missing; expected a port, or start_port and end_port",
    "error fly-ports.toml:31 services[1].ports[0].port: expected 53, because UDP keeps the port number",
    "error fly-ports.toml:32 services[1].ports[0].handlers: expected none, because UDP has no handlers",
    "warning fly-ports.toml:34 services[2].ports: missing; without a port nothing reaches this service",
  ],
  "fly-sections.toml": [
    "pending fly-sections.toml:2 swap_size_mb: understood, not yet in force",
    "pending fly-sections.toml:7 deploy: understood, not yet in force",
    'error fly-sections.toml:8 deploy.strategy: expected another strategy than "canary", because the app has mounts',
    "error fly-sections.toml:9 deploy.max_unavailable: expected a number above 0, got -1",
    "pending fly-sections.toml:11 mounts: understood, not yet in force",
    "error fly-sections.toml:13 mounts[0].snapshot_retention: expected a whole number from 1 to 60, got 90",
    "pending fly-sections.toml:15 statics: understood, not yet in force",
    'error fly-sections.toml:21 statics[1].url_prefix: "/public/images" overlaps with the prefix at fly-sections.toml:17',
    "error fly-sections.toml:23 statics[2].url_prefix: missing; expected a string",
    "error fly-sections.toml:26 checks[0].name: missing; expected a string",
    'error fly-sections.toml:30 http_service.force_https: expected true or false, got "yes"',
    'error fly-sections.toml:34 http_service.http_options.idle_timeout: expected a whole number from 0 to 4294967295, got "10m"',
    'error fly-sections.toml:37 http_service.tls_options.versions[0]: expected "TLSv1.2" or "TLSv1.3", got "TLSv1.1"',
  ],
  "fly-syntax.toml": ["error fly-syntax.toml:5: expected valid TOML: trying to redefine an already defined table or value, in column 1"],
  "fly-twin-one.toml": [`warning fly-twin-one.toml:7 kittiwake.hostnames[2]: host name "shared.example" is the app's already`],
  "fly-twin-two.toml": [
    'error fly-twin-two.toml:1 app: app "twin" is at fly-twin-one.toml:1 already',
    "error fly-twin-two.toml:8 services[0].ports[0]: public port 8443 cannot be bound as 8443: that is where public port 443 is; give it another in [edge] ports",
    'error fly-twin-two.toml:11 kittiwake.hostnames[0]: host name "shared.example" is at fly-twin-one.toml:7 already',
    'error fly-twin-two.toml:14 kittiwake.machines[0].id: machine id "only-one" is at fly-twin-one.toml:10 already',
  ],
  "fly-unknown-keys.toml": [
    "warning fly-unknown-keys.toml:2 auto_stop_machines: unknown key; did you mean http_service.auto_stop_machines?",
    "warning fly-unknown-keys.toml:4 http_sevice: unknown key; did you mean http_service?",
    "warning fly-unknown-keys.toml:12 services[0].internal_prot: unknown key; did you mean internal_port?",
    "error fly-unknown-keys.toml:14 services[0].ports[0]: public port 8080 cannot be bound as 8080: that is where public port 80 is; give it another in [edge] ports",
    "warning fly-unknown-keys.toml:16 services[0].ports[0].handler: unknown key; did you mean handlers?",
    "warning fly-unknown-keys.toml:19 services[0].http_checks[0].intervall: unknown key; did you mean interval?",
    "warning fly-unknown-keys.toml:20 services[0].http_checks[0].restart_limit: an old key without effect; remove it",
    "error fly-unknown-keys.toml:23 kittiwake.hostname: unknown key; did you mean hostnames?",
    'error fly-unknown-keys.toml:24 kittiwake.driver: expected "process", "static", "docker", "command" or "fly", got "procces"',
    "error fly-unknown-keys.toml:25 kittiwake.sleep_after: unknown key",
  ],
};

test("every broken kittiwake.toml yields all of its problems with file, line and key", () => {
  for (const file of globSync("kittiwake-*.toml", { cwd })) assert.deepEqual(load(file), EXPECTED[file], file);
});

test("broken apps yield all of their problems together, ordered by file and line", () => {
  const expected = Object.entries(EXPECTED).filter(([file]) => file.startsWith("fly-"));
  assert.deepEqual(
    load("all-apps.toml"),
    expected.toSorted(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, lines]) => lines),
  );
});

test("every broken file is in the table", () => {
  const files = globSync("{kittiwake,fly}-*.toml", { cwd });
  assert.deepEqual(files.sort(), Object.keys(EXPECTED).sort());
  assert.ok(files.length >= 10);
});

function load(file: string): string[] {
  const config = loadConfig(file, { cwd, hostname: "node-1", cores: 4 });
  assert.equal(config.usable, false);
  return config.problems.map((problem) => `${problem.severity} ${formatProblem(problem)}`);
}
