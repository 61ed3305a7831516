// What the other end of an HTTP/2 connection announced (RFC 9113 section 6.5.2), checked as it comes.

import { ConnectionError, H2_ERROR } from "./connection-error.ts";
import { DEFAULT_FRAME_BYTES, DEFAULT_WINDOW, HIGHEST_FRAME_BYTES, HIGHEST_WINDOW, SETTING } from "./frame.ts";

export interface SettingsChanges {
  /** Every value that is announced, in order: a small one between two large ones empties the table (RFC 7541 section 4.2). */
  onHeaderTableSize(bytes: number): void;
  /** By how much the window of every stream changes. */
  onInitialWindow(difference: number): void;
}

/** Settings in one frame: more than a handful are an attack. */
const MAX_SETTINGS = 32;

export class PeerSettings {
  initialWindow: number = DEFAULT_WINDOW;
  maxFrameBytes: number = DEFAULT_FRAME_BYTES;
  /** Streams that this side may have open. */
  maxStreams = Infinity;

  /** Takes over the pairs at `buffer[start, end)`, in order. Throws `ConnectionError`. */
  read(buffer: Buffer, start: number, end: number, changes: SettingsChanges): void {
    if (end - start > MAX_SETTINGS * 6) throw new ConnectionError(H2_ERROR.enhanceYourCalm, "too many settings in one frame");
    for (let at = start; at < end; at += 6) this.#apply(buffer.readUInt16BE(at), buffer.readUInt32BE(at + 2), changes);
  }

  #apply(id: number, value: number, changes: SettingsChanges): void {
    switch (id) {
      case SETTING.headerTableSize:
        changes.onHeaderTableSize(value);
        return;
      case SETTING.enablePush:
        if (value > 1) throw new ConnectionError(H2_ERROR.protocolError, "SETTINGS_ENABLE_PUSH is neither 0 nor 1");
        return;
      case SETTING.maxConcurrentStreams:
        this.maxStreams = value;
        return;
      case SETTING.initialWindowSize: {
        if (value > HIGHEST_WINDOW) throw new ConnectionError(H2_ERROR.flowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is too large");
        const difference = value - this.initialWindow;
        this.initialWindow = value;
        if (difference !== 0) changes.onInitialWindow(difference);
        return;
      }
      case SETTING.maxFrameSize:
        if (value < DEFAULT_FRAME_BYTES || value > HIGHEST_FRAME_BYTES) {
          throw new ConnectionError(H2_ERROR.protocolError, "SETTINGS_MAX_FRAME_SIZE is out of range");
        }
        this.maxFrameBytes = value;
        return;
      case SETTING.enableConnectProtocol:
        if (value > 1) throw new ConnectionError(H2_ERROR.protocolError, "SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1");
        return;
      case SETTING.noRfc7540Priorities:
        if (value > 1) throw new ConnectionError(H2_ERROR.protocolError, "SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1");
        break;
      // An unknown one means nothing, and the others bind only who pushes or opens streams.
      default:
    }
  }
}
