// Signatures of DNS messages with a shared secret (RFC 8945): ours on an update, the server's on its answer.

import { createHmac, timingSafeEqual } from "node:crypto";

import { encodeName, encodeRecord, readName, readRecords, type PlacedRecord } from "./wire.ts";

export const TSIG_ALGORITHMS = ["hmac-sha256", "hmac-sha384", "hmac-sha512"] as const;

export type TsigAlgorithm = (typeof TSIG_ALGORITHMS)[number];

export interface TsigKey {
  /** Canonical, without a dot at the end. */
  readonly name: string;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Buffer;
}

export interface SignedMessage {
  readonly bytes: Buffer;
  /** What the answer's signature covers too. */
  readonly mac: Buffer;
}

/** A signature as it stands in a message. */
interface Signature {
  readonly keyName: string;
  readonly algorithm: string;
  readonly timeS: number;
  readonly fudgeS: number;
  readonly mac: Buffer;
  readonly originalId: number;
  readonly error: number;
  readonly other: Buffer;
}

const TSIG = 250;
const ANY = 255;
/** RFC 8945 section 10 recommends it: how far two clocks may differ. */
const FUDGE_S = 300;
const HASHES: Readonly<Record<TsigAlgorithm, string>> = { "hmac-sha256": "sha256", "hmac-sha384": "sha384", "hmac-sha512": "sha512" };
const ERROR = { badSignature: 16, badKey: 17, badTime: 18, badTruncation: 22 } as const;

/** The message with a signature as its last record. */
export function signMessage(message: Buffer, key: TsigKey, nowMs: number): SignedMessage {
  const timeS = Math.floor(nowMs / 1000);
  const signature = { keyName: key.name, algorithm: key.algorithm, timeS, fudgeS: FUDGE_S, error: 0, other: Buffer.alloc(0) };
  const mac = macOf(key, Buffer.alloc(0), message, signature);
  const data = encodeData({ ...signature, mac, originalId: message.readUInt16BE(0) });
  const record = encodeRecord({ name: key.name, type: TSIG, recordClass: ANY, ttlS: 0, data });
  const bytes = Buffer.concat([message, record]);
  bytes.writeUInt16BE(message.readUInt16BE(10) + 1, 10);
  return { bytes, mac };
}

/** What is wrong with the signature of the answer to a signed message, in plain words; null when nothing is. Throws a RangeError for garbage. */
export function signatureProblem(answer: Buffer, requestMac: Buffer, key: TsigKey, nowMs: number): string | null {
  const last = readRecords(answer).at(-1);
  if (last?.type !== TSIG || last.recordClass !== ANY || answer.readUInt16BE(10) === 0) return "its answer is not signed";
  const signature = readSignature(last);
  if (signature.error !== 0) return explain(signature, key, nowMs);
  if (signature.keyName !== key.name || signature.algorithm !== key.algorithm) return "its answer is signed with another key";
  const covered = Buffer.from(answer.subarray(0, last.offset));
  covered.writeUInt16BE(signature.originalId, 0);
  covered.writeUInt16BE(answer.readUInt16BE(10) - 1, 10);
  const mac = macOf(key, requestMac, covered, signature);
  if (mac.length !== signature.mac.length || !timingSafeEqual(mac, signature.mac)) return "the signature of its answer is wrong";
  const isInTime = Math.abs(nowMs / 1000 - signature.timeS) <= signature.fudgeS;
  return isInTime ? null : clocksDiffer(signature.timeS, nowMs);
}

function explain({ error, timeS, other }: Signature, { name, algorithm }: TsigKey, nowMs: number): string {
  if (error === ERROR.badKey) return `it does not know the key "${name}" with ${algorithm} (BADKEY)`;
  if (error === ERROR.badSignature) return `it has another secret for the key "${name}" (BADSIG)`;
  if (error === ERROR.badTime) return `${clocksDiffer(other.length === 6 ? other.readUIntBE(0, 6) : timeS, nowMs)} (BADTIME)`;
  if (error === ERROR.badTruncation) return "it wants longer signatures (BADTRUNC)";
  return `it refuses the signature with error ${error}`;
}

function clocksDiffer(serverS: number, nowMs: number): string {
  const seconds = Math.round(serverS - nowMs / 1000);
  return `its clock is ${Math.abs(seconds)} s ${seconds < 0 ? "behind" : "ahead of"} ours, more than a signature allows`;
}

/** RFC 8945 section 4.3. */
function macOf(
  { name, algorithm, secret }: TsigKey,
  requestMac: Buffer,
  message: Buffer,
  { timeS, fudgeS, error, other }: Pick<Signature, "timeS" | "fudgeS" | "error" | "other">,
): Buffer {
  const hmac = createHmac(HASHES[algorithm], secret);
  if (requestMac.length > 0) hmac.update(uint16(requestMac.length)).update(requestMac);
  hmac.update(message);
  hmac.update(encodeName(name)).update(uint16(ANY)).update(Buffer.alloc(4));
  hmac.update(encodeName(algorithm)).update(time(timeS)).update(uint16(fudgeS));
  return hmac.update(uint16(error)).update(uint16(other.length)).update(other).digest();
}

function encodeData({ algorithm, timeS, fudgeS, mac, originalId, error, other }: Signature): Buffer {
  return Buffer.concat([
    encodeName(algorithm),
    time(timeS),
    uint16(fudgeS),
    uint16(mac.length),
    mac,
    uint16(originalId),
    uint16(error),
    uint16(other.length),
    other,
  ]);
}

function readSignature({ name, data }: PlacedRecord): Signature {
  const { name: algorithm, end } = readName(data, 0);
  const macEnd = end + 10 + data.readUInt16BE(end + 8);
  const otherEnd = macEnd + 6 + data.readUInt16BE(macEnd + 4);
  if (otherEnd !== data.length) throw new RangeError("a signature has another length than it says");
  return {
    keyName: name,
    algorithm,
    timeS: data.readUIntBE(end, 6),
    fudgeS: data.readUInt16BE(end + 6),
    mac: data.subarray(end + 10, macEnd),
    originalId: data.readUInt16BE(macEnd),
    error: data.readUInt16BE(macEnd + 2),
    other: data.subarray(macEnd + 6, otherEnd),
  };
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function time(seconds: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(seconds, 0, 6);
  return bytes;
}
