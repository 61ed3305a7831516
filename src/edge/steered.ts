// What the machine is to hear of how a request came to it, where that was by more than nearness. Reference sections 4.4 and 4.7.

import type { AddedField } from "../upstream/forward.ts";
import type { EdgeMachine } from "./edge-app.ts";

export class Steered {
  /** The machine that the client would like best; null: none. */
  preferred: string | null = null;

  /** For the machine that the request goes to now. */
  fields(machine: EdgeMachine): AddedField[] {
    const fields: AddedField[] = [];
    if (this.preferred !== null && this.preferred !== machine.id) fields.push(["fly-preferred-instance-unavailable", this.preferred]);
    return fields;
  }
}
