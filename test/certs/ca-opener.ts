// A process that opens the local CA of a directory at the moment it is told to; local-ca.test.ts starts several.

import { once } from "node:events";

import { LocalCa } from "../../src/certs/local-ca.ts";
import { silent } from "./fixtures.ts";

process.send?.("ready");
await once(process, "message");
const ca = await LocalCa.open(process.argv[2]!, { log: silent });
process.send?.(ca.rootPem, () => process.disconnect?.());
