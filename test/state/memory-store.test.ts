// The store in memory keeps the contract.

import { MemoryStore } from "../../src/state/memory-store.ts";
import { storeContract } from "./store-contract.ts";

storeContract(
  "memory",
  (t, options) => {
    const store = new MemoryStore(options);
    t.after(() => store.close());
    return {
      store,
      another: () => {
        throw new Error("a store in memory has one handle");
      },
    };
  },
  { shared: false },
);
