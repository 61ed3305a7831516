// Header compression as the server reads and writes it. RFC 7541 sections 2 to 6 and the examples of appendix C.

import assert from "node:assert/strict";
import { HOST } from "../../support/edge.ts";
import {
  block,
  bytes,
  CODE,
  headers,
  huffman,
  indexed,
  integer,
  literal,
  neverIndexed,
  remembered,
  SETTING,
  tableSize,
  text,
  type Bytes,
} from "../../support/frames.ts";
import type { FrameClient } from "../../support/frame-client.ts";
import { huffmanCoded } from "../../support/hpack-reader.ts";
import { answered, connectionError, GOES_ON, malformed, request, type Chapter, type ConformanceCase } from "./suite.ts";

const BLOCK = block(request());
const COMPRESSION = connectionError(CODE.compressionError);
/** Value of the entry that a name index of 63 and above would need. */
const MANY = 0xff;

/** A block that cannot be decoded. */
function broken(title: string, section: string, ...parts: readonly Bytes[]): ConformanceCase {
  return {
    title: `${title} is an error of the connection`,
    section: `RFC 7541 ${section}`,
    send: (client) => void client.send(headers(1, bytes(...parts))),
    expected: COMPRESSION,
    isKeptBack: true,
  };
}

/** A block that is read as it should be: the machine sees the field `x-t-a` with this value, if any is given. */
function read(title: string, section: string, parts: readonly Bytes[], value?: string): ConformanceCase {
  return {
    title,
    section: `RFC 7541 ${section}`,
    send: async (client) => {
      client.send(headers(1, bytes(...parts)));
      const { body } = await client.untilOver(1);
      if (value !== undefined) assert.ok(body.toString("latin1").split("\n").includes(`x-t-a=${value}`), body.toString("latin1"));
    },
    expected: answered(),
    isOurs: value !== undefined,
  };
}

/** Several requests on one connection; the last must bring the machine this value of `x-t-a`. */
function readInTurn(title: string, section: string, blocks: readonly Bytes[], value: string): ConformanceCase {
  return {
    title,
    section: `RFC 7541 ${section}`,
    send: async (client) => {
      const last = blocks.length * 2 - 1;
      client.send(...blocks.map((part, i) => headers(1 + i * 2, part)));
      assert.equal((await client.untilOver(last)).body.toString("latin1").split("\n").at(-1), `x-t-a=${value}`);
    },
    expected: GOES_ON,
    isOurs: true,
  };
}

/** Blocks on one connection of which the last cannot be decoded. */
function brokenInTurn(title: string, section: string, blocks: readonly Bytes[]): ConformanceCase {
  return {
    title: `${title} is an error of the connection`,
    section: `RFC 7541 ${section}`,
    send: (client) => void client.send(...blocks.map((part, i) => headers(1 + i * 2, part))),
    expected: COMPRESSION,
  };
}

/** How large the server lets the table become. */
const allowed = (client: FrameClient): number => client.settings.get(SETTING.headerTableSize) ?? 4096;

const TABLES: readonly ConformanceCase[] = [
  read("fields may be entries of the static table", "2.3.1", [indexed(2), indexed(7), indexed(4), literal(":authority", HOST)]),
  read("names may be entries of the static table", "2.3.1", [
    [0x02],
    text("GET"),
    [0x06],
    text("https"),
    [0x04],
    text("/"),
    [0x01],
    text(HOST),
  ]),
  readInTurn(
    "a remembered field is the first entry behind the static table",
    "2.3.2",
    [bytes(BLOCK, remembered("x-t-a", "1")), bytes(BLOCK, indexed(62))],
    "1",
  ),
  readInTurn(
    "the newest remembered field comes first",
    "2.3.2",
    [bytes(BLOCK, remembered("x-t-a", "old"), remembered("x-t-a", "new")), bytes(BLOCK, indexed(62))],
    "new",
  ),
  readInTurn(
    "older remembered fields move up",
    "2.3.3",
    [bytes(BLOCK, remembered("x-t-a", "old"), remembered("x-t-b", "new")), bytes(BLOCK, indexed(63))],
    "old",
  ),
  read("a field may be remembered and used in one block", "2.3.2", [BLOCK, remembered("x-t-a", "1"), indexed(62)], "1"),
  readInTurn(
    "the same field may be remembered twice",
    "2.3.2",
    [bytes(BLOCK, remembered("x-t-a", "1"), remembered("x-t-a", "1")), bytes(BLOCK, indexed(63))],
    "1",
  ),
  broken("index 0", "6.1", BLOCK, [0x80]),
  broken("an index behind the static table while the dynamic one is empty", "2.3.3", BLOCK, indexed(62)),
  broken("an index far behind all tables", "2.3.3", BLOCK, indexed(10_000)),
  broken("the index of a name behind all tables", "6.2.1", BLOCK, integer(70, 6, 0x40), text("x")),
  broken("the index of a name behind all tables, not remembered,", "6.2.2", BLOCK, integer(70, 4, 0x00), text("x")),
  broken("the index of a name behind all tables, never remembered,", "6.2.3", BLOCK, integer(70, 4, 0x10), text("x")),
  brokenInTurn("an index one behind the dynamic table", "2.3.3", [bytes(BLOCK, remembered("x-t-a", "1")), bytes(BLOCK, indexed(63))]),
];

const SIZES: readonly ConformanceCase[] = [
  read("a block may begin with the size of the table", "6.3", [tableSize(0), BLOCK]),
  read("a block may begin with two sizes, the smaller one first", "4.2", [tableSize(0), tableSize(4096), BLOCK]),
  {
    section: "RFC 7541 6.3",
    title: "the size may be as large as the server allows",
    send: (client) => void client.send(headers(1, bytes(tableSize(allowed(client)), BLOCK))),
    expected: answered(),
  },
  {
    section: "RFC 7541 6.3",
    title: "a size above what the server allows is an error of the connection",
    send: (client) => void client.send(headers(1, bytes(tableSize(allowed(client) + 1), BLOCK))),
    expected: COMPRESSION,
    isKeptBack: true,
  },
  broken("a size beyond all numbers", "6.3", tableSize(2 ** 40), BLOCK),
  broken("a size behind a field", "4.2", BLOCK.subarray(0, 0), indexed(2), tableSize(0), BLOCK),
  broken("a size at the end of a block", "4.2", BLOCK, tableSize(100)),
  brokenInTurn("the use of a field that a size of 0 has driven out", "4.3", [
    bytes(BLOCK, remembered("x-t-a", "1")),
    bytes(tableSize(0), BLOCK, indexed(62)),
  ]),
  brokenInTurn("the use of a field that was driven out between two sizes", "4.3", [
    bytes(BLOCK, remembered("x-t-a", "1")),
    bytes(tableSize(0), tableSize(4096), BLOCK, indexed(62)),
  ]),
  brokenInTurn("the use of a field that has no room in a table of 37 bytes", "4.1", [
    bytes(tableSize(37), BLOCK, remembered("x-t-a", "1"), indexed(62)),
  ]),
  read(
    "a table of 38 bytes has room for six of them, and 32 of its own",
    "4.1",
    [tableSize(38), BLOCK, remembered("x-t-a", "1"), indexed(62)],
    "1",
  ),
  brokenInTurn("the use of a field that another has driven out", "4.4", [
    bytes(tableSize(76), BLOCK, remembered("x-t-a", "1"), remembered("x-t-b", "2"), remembered("x-t-c", "3"), indexed(64)),
  ]),
  readInTurn(
    "the fields that fit stay when another is driven out",
    "4.4",
    [bytes(tableSize(76), BLOCK, remembered("x-t-z", "1"), remembered("x-t-a", "2"), remembered("x-t-b", "3")), bytes(BLOCK, indexed(63))],
    "2",
  ),
  read(
    "a field larger than the table is taken, and empties it",
    "4.4",
    [tableSize(64), BLOCK, remembered("x-t-a", "a".repeat(100))],
    "a".repeat(100),
  ),
  brokenInTurn("the use of a field behind one that was larger than the table", "4.4", [
    bytes(tableSize(64), BLOCK, remembered("x-t-a", "1"), remembered("x-t-b", "a".repeat(100)), indexed(62)),
  ]),
  readInTurn(
    "a field may drive out the entry that its name is taken from",
    "4.4",
    [bytes(tableSize(38), BLOCK, remembered("x-t-a", "1"), integer(62, 6, 0x40), text("2")), bytes(BLOCK, indexed(62))],
    "2",
  ),
];

const INTEGERS: readonly ConformanceCase[] = [
  read("a length of one byte more than its prefix holds is read", "5.1", [BLOCK, literal("x-t-a", "a".repeat(127))], "a".repeat(127)),
  read("a length of three bytes is read", "5.1", [BLOCK, literal("x-t-a", "a".repeat(5000))], "a".repeat(5000)),
  broken("an integer that does not end", "5.1", BLOCK, [0xff]),
  broken("an integer that does not end with its block", "5.1", BLOCK, [0xff, 0x80, 0x80]),
  broken("an index beyond all numbers", "5.1", BLOCK, [MANY, ...Array.from({ length: 9 }, () => 0xff), 0x7f]),
  broken("an index that wraps around to 2 at 2^32", "5.1", BLOCK, [0xff, 0x83, 0xff, 0xff, 0xff, 0x0f]),
  broken("an integer of a hundred bytes", "5.1", BLOCK, [MANY, ...Array.from({ length: 100 }, () => 0x80), 0x00]),
  broken("a length beyond all numbers", "5.1", BLOCK, [0x00, 0x7f, ...Array.from({ length: 9 }, () => 0xff), 0x7f], "x-a"),
  broken("a length that wraps around to 1 at 2^32", "5.1", BLOCK, [0x00, 0x7f, 0x82, 0xff, 0xff, 0xff, 0x0f], "a", text("1")),
];

const STRINGS: readonly ConformanceCase[] = [
  read("a value in Huffman coding is read", "5.2", [BLOCK, [0x00], text("x-t-a"), huffman(huffmanCoded("hello world"))], "hello world"),
  read("a name in Huffman coding is read", "5.2", [BLOCK, [0x00], huffman(huffmanCoded("x-t-a")), text("1")], "1"),
  read("an empty value in Huffman coding is read", "5.2", [BLOCK, [0x00], text("x-t-a"), huffman("")], ""),
  read(
    "the longest codes are read",
    "5.2",
    [BLOCK, [0x00], text("x-t-a"), huffman(huffmanCoded("\x80\xf9\xff<>\\^|~{}"))],
    "\x80\xf9\xff<>\\^|~{}",
  ),
  read(
    "all bytes that a value may hold are read in Huffman coding",
    "5.2",
    [BLOCK, [0x00], text("x-t-a"), huffman(huffmanCoded(String.fromCharCode(...Array.from({ length: 94 }, (_, i) => 0x21 + i))))],
    String.fromCharCode(...Array.from({ length: 94 }, (_, i) => 0x21 + i)),
  ),
  broken("padding of more than seven bits", "5.2", BLOCK, [0x00], text("x-a"), huffman(bytes(huffmanCoded("hello world"), [0xff]))),
  broken("nothing but padding", "5.2", BLOCK, [0x00], text("x-a"), huffman([0xff])),
  broken("padding of zeros", "5.2", BLOCK, [0x00], text("x-a"), huffman([0b0001_1000])),
  broken("padding of a zero among ones", "5.2", BLOCK, [0x00], text("x-a"), huffman([0b0001_1101])),
  broken("the end of the string written out", "5.2", BLOCK, [0x00], text("x-a"), huffman([0xff, 0xff, 0xff, 0xff])),
  broken("the end of the string written out among others", "5.2", BLOCK, [0x00], text("x-a"), huffman([0x1f, 0xff, 0xff, 0xff, 0xff])),
  broken("the end of the string written out in a name", "5.2", BLOCK, [0x00], huffman([0xff, 0xff, 0xff, 0xfc]), text("1")),
  broken("a code that does not end", "5.2", BLOCK, [0x00], text("x-a"), huffman([0xff, 0xfe])),
  broken("a name longer than the block", "5.2", BLOCK, [0x00, 0x05], "x-a"),
  broken("a value longer than the block", "5.2", BLOCK, [0x00], text("x-a"), [0x05], "abc"),
  broken("a value that is missing", "6.2.2", BLOCK, [0x00], text("x-a")),
  broken("a name that is missing", "6.2.2", BLOCK, [0x00]),
  broken("a value that is missing behind an indexed name", "6.2.1", BLOCK, [0x41]),
  {
    section: "RFC 7541 5.2",
    title: "what Huffman coding hides is looked at: a name in capitals is malformed",
    send: (client) => void client.send(headers(1, bytes(BLOCK, [0x00], huffman(huffmanCoded("X-A")), text("1")))),
    expected: malformed(),
    isKeptBack: true,
  },
  {
    section: "RFC 7541 5.2",
    title: "what Huffman coding hides is looked at: a line break in a value is malformed",
    send: (client) => void client.send(headers(1, bytes(BLOCK, [0x00], text("x-a"), huffman(huffmanCoded("a\r\nx-b: 1"))))),
    expected: malformed(),
    isKeptBack: true,
  },
];

const FORMS: readonly ConformanceCase[] = [
  readInTurn(
    "a field that is remembered stays so",
    "6.2.1",
    [bytes(BLOCK, remembered("x-t-a", "1")), BLOCK, bytes(BLOCK, indexed(62))],
    "1",
  ),
  readInTurn(
    "a remembered field may take its name from the table",
    "6.2.1",
    [bytes(BLOCK, remembered("x-t-a", "1")), bytes(BLOCK, integer(62, 6, 0x40), text("2")), bytes(BLOCK, indexed(62))],
    "2",
  ),
  read(
    "a field that is not remembered may take its name from the table",
    "6.2.2",
    [BLOCK, remembered("x-t-a", "1"), integer(62, 4, 0x00), text("2")],
    "2",
  ),
  read("a field that is never remembered is read", "6.2.3", [BLOCK, neverIndexed("x-t-a", "1")], "1"),
  read(
    "a field that is never remembered may take its name from the table",
    "6.2.3",
    [BLOCK, remembered("x-t-a", "1"), integer(62, 4, 0x10), text("2")],
    "2",
  ),
  brokenInTurn("the use of a field that was not remembered", "6.2.2", [bytes(BLOCK, literal("x-t-a", "1")), bytes(BLOCK, indexed(62))]),
  brokenInTurn("the use of a field that was never to be remembered", "6.2.3", [
    bytes(BLOCK, neverIndexed("x-t-a", "1")),
    bytes(BLOCK, indexed(62)),
  ]),
];

const HEX = (...lines: readonly string[]): readonly Buffer[] => lines.map((line) => Buffer.from(line.replaceAll(" ", ""), "hex"));

/** The three requests of the appendix, whose host is nobody's here: what counts is that the tables survive all of them. */
function example(section: string, blocks: readonly Buffer[]): ConformanceCase {
  return {
    title: "the requests of the examples are read",
    section: `RFC 7541 ${section}`,
    send: async (client) => {
      for (const [i, part] of blocks.entries()) {
        client.send(headers(1 + i * 2, part));
        assert.equal((await client.untilOver(1 + i * 2)).hasEnded, true);
      }
      // The last of them had put custom-key into the table: with its name the machine would see a field, and the block is one.
      client.send(headers(7, bytes(BLOCK, integer(62, 4, 0x00), text("x"))));
    },
    expected: answered(7),
  };
}

const EXAMPLES: readonly ConformanceCase[] = [
  example(
    "C.3",
    HEX(
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ),
  ),
  example(
    "C.4",
    HEX(
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ),
  ),
];

/** The server's own encoder; the client reads strictly, and every wrong block is a violation. */
const WRITING: readonly ConformanceCase[] = [
  {
    section: "RFC 7541 4.2",
    title: "the server remembers nothing where the client has no table",
    options: { settings: [[SETTING.headerTableSize, 0]] },
    send: async (client) => {
      for (let stream = 1; stream < 20; stream += 2) {
        client.send(headers(stream, BLOCK));
        await client.untilOver(stream);
      }
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 7541 4.2",
    title: "the server shrinks its table when the client's does, and says so first",
    send: async (client) => {
      for (const [i, size] of [4096, 100, 4096, 0, 50, 65_536].entries()) {
        await client.configure([SETTING.headerTableSize, size]).untilConfigured();
        for (const stream of [1 + i * 6, 3 + i * 6, 5 + i * 6]) {
          client.send(headers(stream, BLOCK));
          await client.untilOver(stream);
        }
      }
    },
    expected: GOES_ON,
  },
  {
    section: "RFC 7541 4.2",
    title: "a table that shrank and grew between two responses has shrunk",
    send: async (client) => {
      client.send(headers(1, BLOCK), headers(3, BLOCK));
      await client.untilOver(3);
      client.configure([SETTING.headerTableSize, 0]).configure([SETTING.headerTableSize, 4096]);
      await client.untilConfigured();
      client.send(headers(5, BLOCK), headers(7, BLOCK));
      await client.untilOver(5);
    },
    expected: answered(7),
  },
  {
    section: "RFC 7541 2.2",
    title: "a hundred responses are read with one table",
    send: async (client) => {
      for (let stream = 1; stream < 200; stream += 2) {
        client.send(headers(stream, block(request({ ":path": `/own/${stream}` }))));
        assert.equal((await client.untilOver(stream)).hasEnded, true);
      }
    },
    expected: GOES_ON,
  },
];

export const HEADER_COMPRESSION: Chapter = {
  title: "RFC 7541, header compression:",
  cases: [...TABLES, ...SIZES, ...INTEGERS, ...STRINGS, ...FORMS, ...EXAMPLES, ...WRITING],
};
