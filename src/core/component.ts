// A part of the node with a life of its own. The composition root starts it, restarts it when it breaks, and stops it.

export interface Component {
  readonly name: string;
  /** Runs until `signal` aborts: resolves when stopped, rejects when broken (the root restarts it with back-off). */
  run(signal: AbortSignal): Promise<void>;
}
