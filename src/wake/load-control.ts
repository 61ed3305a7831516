// What the host and the idler need of the load table: shut a machine's slot, open it, and see whether anything is in it.

export interface LoadControl {
  /** Atomically: when nothing is in flight on the machine, refuses new claims and returns true; otherwise changes nothing. */
  closeWhenIdle(machineId: string): boolean;

  /** Refuses new claims from now on; what is in flight goes on. */
  close(machineId: string): void;

  /** Allows claims again. */
  open(machineId: string): void;

  /** Slots held on the machine now, over all its services and all workers. */
  inFlight(machineId: string): number;

  /** A counter that moves with every claim, so that load between two looks is seen. Compare for change only; it may wrap. */
  activity(machineId: string): number;
}
