// Asks a DNS server by TCP: one message there, one back. UDP would save a round trip, and bring lost messages, truncated ones and forged ones.

import { randomInt } from "node:crypto";
import { connect } from "node:net";

import { decode, encode, type DecodedPacket, type Question } from "dns-packet";

import type { Address } from "../../core/app.ts";
import { ProxyError } from "../../core/errors.ts";

const TIMEOUT_MS = 5000;
const LENGTH_BYTES = 2;

/** Another server, or the same one later, may do what this one did not. */
export function dnsFailure(message: string, cause?: unknown): ProxyError {
  return new ProxyError("certificate_unavailable", message, { cause });
}

/** Rejects with `certificate_unavailable` when no answer to this message comes in time, and with the signal's reason when that aborts. */
export async function exchange(server: Address, message: Buffer, signal: AbortSignal): Promise<Buffer> {
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const answer = await sendAndReceive(server, message, AbortSignal.any([signal, deadline]));
    if (answer.length < 12 || answer.readUInt16BE(0) !== message.readUInt16BE(0)) throw new Error("it sent something else than an answer");
    return answer;
  } catch (cause) {
    signal.throwIfAborted();
    const reason = deadline.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : (cause as Error).message;
    throw dnsFailure(`the DNS server at ${formatServer(server)} cannot be asked: ${reason}`, cause);
  }
}

/** One question to an authoritative server. */
export async function ask(server: Address, { name, type }: Question, signal: AbortSignal): Promise<DecodedPacket & { rcode: string }> {
  const answer = await exchange(server, encode({ type: "query", id: newId(), flags: 0, questions: [{ name, type }] }), signal);
  try {
    return decode(answer) as DecodedPacket & { rcode: string };
  } catch (cause) {
    throw dnsFailure(`the DNS server at ${formatServer(server)} sent an answer that cannot be read`, cause);
  }
}

export function newId(): number {
  return randomInt(0x10000);
}

export function formatServer({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

async function sendAndReceive({ host, port }: Address, message: Buffer, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  const socket = connect({ host, port });
  const end = (): void => void socket.destroy(signal.reason as Error);
  signal.addEventListener("abort", end);
  try {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
    let received: Buffer = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received = Buffer.concat([received, chunk]);
      const whole = received.length < LENGTH_BYTES ? Infinity : LENGTH_BYTES + received.readUInt16BE(0);
      if (received.length >= whole) return received.subarray(LENGTH_BYTES, whole);
    }
    throw new Error("it closed the connection without an answer");
  } finally {
    signal.removeEventListener("abort", end);
    socket.destroy();
  }
}
