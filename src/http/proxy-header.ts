// The PROXY protocol (haproxy.org, "The PROXY protocol", versions 1 and 2): what a proxy in front says about the client, and what we say
// to a machine. Bytes in, addresses out, and the other way round; no I/O.

import { isIPv4, isIPv6, SocketAddress } from "node:net";
import type { Ends } from "../core/ends.ts";
import { ProxyError } from "../core/errors.ts";

/** A header at the beginning of what was received. */
export interface ProxyHeader {
  /** null: the connection is the proxy's own, or the proxy does not know whose it is. */
  readonly ends: Ends | null;
  /** Bytes of it. */
  readonly length: number;
}

/** A line of version 1 has at most 107 bytes. Version 2 has room for extensions, of which a proxy sends few; none is used here. */
export const MAX_PROXY_HEADER_BYTES = 4096;
const MAX_V1_BYTES = 107;

const V1_START = Buffer.from("PROXY ", "latin1");
const V2_START = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_BYTES = 16;

const LOCAL = 0x20;
const PROXY = 0x21;
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const UDP4 = 0x12;
const TCP6 = 0x21;
const UDP6 = 0x22;
/** What else version 2 defines: local sockets, and datagrams, which this connection is none of. */
const UNIX = [0x31, 0x32];

/** The header at the beginning of `bytes`; null while it is not whole. Throws `bad_proxy_header` for what is none, as soon as that can be told. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | null {
  if (startsLike(bytes, V1_START)) return readVersion1(bytes);
  if (startsLike(bytes, V2_START)) return readVersion2(bytes);
  throw refusal("it begins with something else");
}

/** For a TCP connection. IPv4 and IPv6 are never mixed: mapped addresses are used where the ends differ. */
export function writeProxyHeader(version: "v1" | "v2", ends: Ends): Buffer {
  return version === "v2" ? writeVersion2(ends, "tcp") : writeVersion1(ends);
}

/** In front of a datagram. */
export function writeDatagramHeader(ends: Ends): Buffer {
  return writeVersion2(ends, "udp");
}

function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function readVersion1(bytes: Buffer): ProxyHeader | null {
  const end = bytes.subarray(0, MAX_V1_BYTES).indexOf("\r\n");
  if (end === -1) {
    if (bytes.length >= MAX_V1_BYTES) throw refusal("its line does not end");
    return null;
  }
  const line = bytes.toString("latin1", V1_START.length, end);
  const length = end + 2;
  if (line === "UNKNOWN" || line.startsWith("UNKNOWN ")) return { ends: null, length };
  const [family, sourceIp, destinationIp, sourcePort, destinationPort, ...more] = line.split(" ");
  const isAddress = family === "TCP4" ? isIPv4 : family === "TCP6" ? isPlainIPv6 : null;
  if (isAddress === null || more.length > 0 || !isAddress(sourceIp ?? "") || !isAddress(destinationIp ?? "")) {
    throw refusal("its addresses are malformed");
  }
  const ends = {
    sourceIp: plain(sourceIp!),
    sourcePort: portOf(sourcePort),
    destinationIp: plain(destinationIp!),
    destinationPort: portOf(destinationPort),
  };
  return { ends, length };
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

/** Digits without leading zeros. */
function portOf(text: string | undefined): number {
  if (text === undefined || !/^(?:0|[1-9]\d{0,4})$/.test(text) || Number(text) > 65_535) throw refusal("its ports are malformed");
  return Number(text);
}

function readVersion2(bytes: Buffer): ProxyHeader | null {
  if (bytes.length < V2_FIXED_BYTES) return null;
  const command = bytes[12];
  const family = bytes[13]!;
  const length = V2_FIXED_BYTES + bytes.readUInt16BE(14);
  if (command !== LOCAL && command !== PROXY) throw refusal("its version or command is unknown");
  if (length > MAX_PROXY_HEADER_BYTES) throw refusal("it is too long");
  const addressBytes = family === TCP4 ? 12 : family === TCP6 ? 36 : 0;
  const isKnown = addressBytes > 0 || family === UNSPECIFIED || UNIX.includes(family);
  // Who checks its own connection may say anything about its addresses.
  if (command === PROXY && (!isKnown || length < V2_FIXED_BYTES + addressBytes)) throw refusal("its addresses are malformed");
  if (bytes.length < length) return null;
  if (command === LOCAL || addressBytes === 0) return { ends: null, length };
  const ipBytes = family === TCP4 ? 4 : 16;
  const ipAt = (index: number): string => ipText(bytes.subarray(V2_FIXED_BYTES + index * ipBytes, V2_FIXED_BYTES + (index + 1) * ipBytes));
  const portAt = (index: number): number => bytes.readUInt16BE(V2_FIXED_BYTES + 2 * ipBytes + 2 * index);
  return { ends: { sourceIp: ipAt(0), sourcePort: portAt(0), destinationIp: ipAt(1), destinationPort: portAt(1) }, length };
}

function writeVersion1({ sourceIp, sourcePort, destinationIp, destinationPort }: Ends): Buffer {
  const isV4 = isIPv4(sourceIp) && isIPv4(destinationIp);
  const text = isV4 ? (ip: string) => ip : (ip: string) => (isIPv4(ip) ? `::ffff:${ip}` : withoutZone(ip));
  return Buffer.from(`PROXY TCP${isV4 ? 4 : 6} ${text(sourceIp)} ${text(destinationIp)} ${sourcePort} ${destinationPort}\r\n`, "latin1");
}

function writeVersion2({ sourceIp, sourcePort, destinationIp, destinationPort }: Ends, transport: "tcp" | "udp"): Buffer {
  const isV4 = isIPv4(sourceIp) && isIPv4(destinationIp);
  const [source, destination] = isV4 ? [ipv4Bytes(sourceIp), ipv4Bytes(destinationIp)] : [ipv6Bytes(sourceIp), ipv6Bytes(destinationIp)];
  const family = transport === "tcp" ? (isV4 ? TCP4 : TCP6) : isV4 ? UDP4 : UDP6;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(sourcePort, 0);
  ports.writeUInt16BE(destinationPort, 2);
  const length = source.length + destination.length + ports.length;
  return Buffer.concat([V2_START, Buffer.from([PROXY, family, length >> 8, length & 0xff]), source, destination, ports]);
}

function ipv4Bytes(ip: string): Buffer {
  return Buffer.from(ip.split(".").map(Number));
}

function ipv6Bytes(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), ipv4Bytes(ip)]);
  const plainText = withoutZone(ip);
  const tail = /\d+\.\d+\.\d+\.\d+$/.exec(plainText)?.[0];
  const hex = tail === undefined ? plainText : plainText.slice(0, -tail.length) + hexOf(ipv4Bytes(tail));
  const [front = "", back] = hex.split("::");
  const groups = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const [head, end] = [groups(front), groups(back ?? "")];
  const all = [...head, ...Array.from({ length: 8 - head.length - end.length }, () => 0), ...end];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Which interface a link-local address is on means nothing to another computer. */
function withoutZone(ip: string): string {
  const zone = ip.indexOf("%");
  return zone === -1 ? ip : ip.slice(0, zone);
}

function hexOf(bytes: Buffer): string {
  return `${bytes.toString("hex", 0, 2)}:${bytes.toString("hex", 2, 4)}`;
}

function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16)).join(":");
  return plain(groups);
}

/** The one spelling of an address; an IPv4 one without its IPv6 form. */
function plain(ip: string): string {
  if (isIPv4(ip)) return ip;
  const { address } = new SocketAddress({ address: ip, family: "ipv6" });
  return address.startsWith("::ffff:") && isIPv4(address.slice(7)) ? address.slice(7) : address;
}

function refusal(reason: string): ProxyError {
  return new ProxyError("bad_proxy_header", `the PROXY header cannot be read: ${reason}`);
}
