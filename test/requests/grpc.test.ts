// gRPC end to end, with the same library on both ends: the four kinds of calls, trailers-only errors, deadlines and cancellation.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import {
  Client,
  Metadata,
  Server,
  ServerCredentials,
  credentials,
  status,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type UntypedServiceImplementation,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { staticApp } from "../support/backend.ts";
import { HOST, rootOf } from "../support/edge.ts";
import { eventually } from "../support/eventually.ts";
import { startTestNode } from "../support/node.ts";

const bytes = { serialize: (value: Buffer): Buffer => value, deserialize: (value: Buffer): Buffer => value };

function method(path: string, requestStream: boolean, responseStream: boolean) {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  };
}

const service = {
  unary: method("/echo.Echo/Unary", false, false),
  collect: method("/echo.Echo/Collect", true, false),
  count: method("/echo.Echo/Count", false, true),
  chat: method("/echo.Echo/Chat", true, true),
  refuse: method("/echo.Echo/Refuse", false, false),
  hang: method("/echo.Echo/Hang", false, true),
} satisfies ServiceDefinition;

/** What the server saw of calls that hang: ended by whom, and with which deadline. */
const hanging: { cancelled: boolean; deadlineMs: number }[] = [];
const MESSAGES = 200;

const implementation: UntypedServiceImplementation = {
  unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
    const trailers = new Metadata();
    trailers.set("x-trailer", "at the end");
    call.sendMetadata(call.metadata);
    done(null, call.request, trailers);
  },
  collect: (call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
    const parts: Buffer[] = [];
    call.on("data", (part: Buffer) => parts.push(part));
    call.on("end", () => done(null, Buffer.concat(parts)));
  },
  count: (call: ServerWritableStream<Buffer, Buffer>) => {
    for (let i = 0; i < MESSAGES; i++) call.write(Buffer.from(`${i}`));
    call.end();
  },
  chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
    call.on("data", (part: Buffer) => call.write(part));
    call.on("end", () => call.end());
  },
  refuse: (_: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) =>
    done({ code: status.FAILED_PRECONDITION, details: "not today" } as ServiceError),
  hang: (call: ServerWritableStream<Buffer, Buffer>) => {
    const seen = { cancelled: false, deadlineMs: Number(call.getDeadline()) };
    hanging.push(seen);
    call.write(Buffer.from("hanging"));
    call.on("cancelled", () => (seen.cancelled = true));
  },
};

const server = new Server();
server.addService(service, implementation);
const port = await new Promise<number>((resolve, reject) =>
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))),
);
const app = staticApp("hello", port).replace("internal_port", "http_options = { h2_backend = true }\ninternal_port");
const node = await startTestNode({ apps: { hello: app } });
await eventually(() => node.node.control.machines("hello").every(({ state }) => state === "started"), "the machine");
const client = new Client(`127.0.0.1:${node.httpsPort}`, credentials.createSsl(Buffer.from(rootOf(node))), {
  "grpc.ssl_target_name_override": HOST,
  "grpc.default_authority": HOST,
});
after(async () => {
  client.close();
  server.forceShutdown();
  await node[Symbol.asyncDispose]();
});

const untilReleased = (): Promise<void> =>
  eventually(() => node.node.control.inFlight("hello-1") === 0, "the machine's places to be given back");

test("a unary call gets its answer, with the metadata in front and the trailers behind", async () => {
  const metadata = new Metadata();
  metadata.set("x-own", "yes");
  const result = Promise.withResolvers<Buffer>();
  const call = client.makeUnaryRequest(
    service.unary.path,
    bytes.serialize,
    bytes.deserialize,
    Buffer.from("hello"),
    metadata,
    (error, value) => (error === null ? result.resolve(value!) : result.reject(error)),
  );
  const [[front], [end]] = await Promise.all([once(call, "metadata"), once(call, "status")]);
  assert.deepEqual((front as Metadata).get("x-own"), ["yes"]);
  assert.deepEqual((end as { metadata: Metadata }).metadata.get("x-trailer"), ["at the end"]);
  assert.equal((await result.promise).toString(), "hello");
  await untilReleased();
});

test("what a client streams arrives whole, and so does a message of 3 MB", async () => {
  const result = Promise.withResolvers<Buffer>();
  const call = client.makeClientStreamRequest(service.collect.path, bytes.serialize, bytes.deserialize, (error, value) =>
    error === null ? result.resolve(value!) : result.reject(error),
  );
  const large = Buffer.alloc(3 * 1024 * 1024, "x");
  call.write(Buffer.from("a"));
  call.write(large);
  call.end();
  const got = await result.promise;
  assert.ok(got.equals(Buffer.concat([Buffer.from("a"), large])));
});

test("what a server streams arrives in order", async () => {
  const call = client.makeServerStreamRequest(service.count.path, bytes.serialize, bytes.deserialize, Buffer.alloc(0));
  const got: string[] = [];
  call.on("data", (part: Buffer) => got.push(part.toString()));
  const [end] = await once(call, "status");
  assert.equal((end as { code: number }).code, status.OK);
  assert.deepEqual(
    got,
    Array.from({ length: MESSAGES }, (_, i) => `${i}`),
  );
});

test("both sides of a call talk in turn, while it is open", async () => {
  const call = client.makeBidiStreamRequest(service.chat.path, bytes.serialize, bytes.deserialize);
  for (let i = 0; i < 20; i++) {
    call.write(Buffer.from(`${i}`));
    const [part] = (await once(call, "data")) as [Buffer];
    assert.equal(part.toString(), `${i}`);
  }
  call.end();
  const [end] = await once(call, "status");
  assert.equal((end as { code: number }).code, status.OK);
  await untilReleased();
});

test("an error without a message keeps its status and details", async () => {
  const error = await new Promise<ServiceError | null>((resolve) =>
    client.makeUnaryRequest(service.refuse.path, bytes.serialize, bytes.deserialize, Buffer.alloc(0), resolve),
  );
  assert.equal(error?.code, status.FAILED_PRECONDITION);
  assert.equal(error?.details, "not today");
});

test("a method that nobody has is UNIMPLEMENTED, from the machine", async () => {
  const error = await new Promise<ServiceError | null>((resolve) =>
    client.makeUnaryRequest("/echo.Echo/None", bytes.serialize, bytes.deserialize, Buffer.alloc(0), resolve),
  );
  assert.equal(error?.code, status.UNIMPLEMENTED);
});

test("a call that its client cancels is cancelled at the machine", async () => {
  hanging.length = 0;
  const call = client.makeServerStreamRequest(service.hang.path, bytes.serialize, bytes.deserialize, Buffer.alloc(0));
  call.on("error", () => {});
  await once(call, "data");
  call.cancel();
  await eventually(() => hanging[0]?.cancelled === true, "the machine to hear of it");
  await untilReleased();
});

test("a deadline is known to the machine and ends the call", async () => {
  hanging.length = 0;
  const deadline = Date.now() + 1000;
  const call = client.makeServerStreamRequest(service.hang.path, bytes.serialize, bytes.deserialize, Buffer.alloc(0), { deadline });
  call.on("data", () => {});
  const [error] = (await once(call, "error")) as [ServiceError];
  assert.equal(error.code, status.DEADLINE_EXCEEDED);
  assert.ok(Math.abs(hanging[0]!.deadlineMs - deadline) < 1000, `the machine was told ${hanging[0]!.deadlineMs - deadline} ms off`);
  await eventually(() => hanging[0]?.cancelled === true, "the machine to end it too");
  await untilReleased();
});

test("300 calls at once on one connection each get their own answer", async () => {
  const answers = await Promise.all(
    Array.from(
      { length: 300 },
      (_, i) =>
        new Promise<string>((resolve, reject) =>
          client.makeUnaryRequest(service.unary.path, bytes.serialize, bytes.deserialize, Buffer.from(`${i}`), (error, value) =>
            error === null ? resolve(value!.toString()) : reject(error),
          ),
        ),
    ),
  );
  assert.deepEqual(
    answers,
    answers.map((_, i) => `${i}`),
  );
  await untilReleased();
});
