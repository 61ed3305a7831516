// Both ends of a client's connection, as the client sees them.

export interface Ends {
  readonly sourceIp: string;
  readonly sourcePort: number;
  /** What the client connected to. */
  readonly destinationIp: string;
  /** Public port. */
  readonly destinationPort: number;
}
