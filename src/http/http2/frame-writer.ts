// Hot path. Frames into memory of the caller's (RFC 9113 sections 4.1 and 6). Each function returns the position behind what it wrote.

import { FLAG, FRAME, FRAME_HEAD_BYTES } from "./frame.ts";

/** Bytes of every frame that is written here whole, but SETTINGS. */
export const SMALL_FRAME_BYTES = FRAME_HEAD_BYTES + 8;

export function writeFrameHead(buffer: Buffer, at: number, length: number, type: number, flags: number, streamId: number): number {
  buffer[at] = length >>> 16;
  buffer[at + 1] = length >>> 8;
  buffer[at + 2] = length;
  buffer[at + 3] = type;
  buffer[at + 4] = flags;
  return writeUint32(buffer, at + 5, streamId);
}

export function writeReset(buffer: Buffer, at: number, streamId: number, code: number): number {
  return writeUint32(buffer, writeFrameHead(buffer, at, 4, FRAME.rstStream, FLAG.none, streamId), code);
}

export function writeWindowUpdate(buffer: Buffer, at: number, streamId: number, increment: number): number {
  return writeUint32(buffer, writeFrameHead(buffer, at, 4, FRAME.windowUpdate, FLAG.none, streamId), increment);
}

export function writeGoaway(buffer: Buffer, at: number, lastStreamId: number, code: number): number {
  return writeUint32(buffer, writeUint32(buffer, writeFrameHead(buffer, at, 8, FRAME.goaway, FLAG.none, 0), lastStreamId), code);
}

/** A PING with the eight bytes at `data[start]`. */
export function writePing(buffer: Buffer, at: number, flags: number, data: Buffer, start: number): number {
  const position = writeFrameHead(buffer, at, 8, FRAME.ping, flags, 0);
  data.copy(buffer, position, start, start + 8);
  return position + 8;
}

export function writeSettingsAck(buffer: Buffer, at: number): number {
  return writeFrameHead(buffer, at, 0, FRAME.settings, FLAG.ack, 0);
}

/** Settings as pairs of identifier and value. */
export function writeSettings(buffer: Buffer, at: number, settings: readonly (readonly [id: number, value: number])[]): number {
  let position = writeFrameHead(buffer, at, settings.length * 6, FRAME.settings, FLAG.none, 0);
  for (const [id, value] of settings) {
    buffer[position] = id >>> 8;
    buffer[position + 1] = id;
    position = writeUint32(buffer, position + 2, value);
  }
  return position;
}

function writeUint32(buffer: Buffer, at: number, value: number): number {
  buffer[at] = value >>> 24;
  buffer[at + 1] = value >>> 16;
  buffer[at + 2] = value >>> 8;
  buffer[at + 3] = value;
  return at + 4;
}
