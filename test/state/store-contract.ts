// The contract of src/state/store.ts as tests, run by every engine. What only one engine promises is in that engine's own tests.

import { describe } from "node:test";
import { entriesContract } from "./contract/entries.ts";
import { handlesContract } from "./contract/handles.ts";
import { leasesContract } from "./contract/leases.ts";
import type { OpenSubject } from "./contract/subject.ts";
import { watchContract } from "./contract/watch.ts";
import { watchPropertyContract } from "./contract/watch-property.ts";

export interface ContractOptions {
  /** Several handles can be opened on the same data, and the data outlives them. */
  readonly shared: boolean;
}

export function storeContract(name: string, open: OpenSubject, options: ContractOptions): void {
  describe(`the store contract, ${name}`, { timeout: 60_000 }, () => {
    entriesContract(open);
    watchContract(open);
    watchPropertyContract(open, options);
    leasesContract(open);
    if (options.shared) handlesContract(open);
  });
}
