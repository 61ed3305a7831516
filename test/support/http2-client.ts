// A client that speaks HTTP/2 with Node's own implementation, over TLS: one connection, a promise for each response.

import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import type { Settings } from "node:http2";
import { HOST, rootOf } from "./edge.ts";
import type { TestNode } from "./node.ts";

export interface Http2Response {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
}

export class Http2Client implements Disposable {
  readonly session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.session = session;
  }

  static async connect(test: TestNode, settings: Settings = {}, host = HOST): Promise<Http2Client> {
    const session = connect(`https://${host}:${test.httpsPort}`, {
      ca: rootOf(test),
      settings,
      lookup: (_, __, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }] as never, 4),
    });
    session.on("error", () => {});
    await once(session, "connect");
    return new Http2Client(session);
  }

  /** Opens a stream; `:authority` is the app's unless told otherwise. */
  open(headers: OutgoingHttpHeaders = {}, endStream = true): ClientHttp2Stream {
    const stream = this.session.request({ ":authority": HOST, ...headers }, { endStream });
    stream.on("error", () => {});
    return stream;
  }

  get(path: string, headers: OutgoingHttpHeaders = {}): Promise<Http2Response> {
    return responseOf(this.open({ ":path": path, ...headers }));
  }

  post(path: string, body: string | Buffer, headers: OutgoingHttpHeaders = {}): Promise<Http2Response> {
    const stream = this.open({ ":method": "POST", ":path": path, ...headers }, false);
    stream.end(body);
    return responseOf(stream);
  }

  [Symbol.dispose](): void {
    this.session.destroy();
  }
}

/** The whole response on a stream. Rejects when the stream is reset before its end. */
export async function responseOf(stream: ClientHttp2Stream): Promise<Http2Response> {
  let trailers: IncomingHttpHeaders = {};
  stream.on("trailers", (fields) => (trailers = fields));
  const closed = once(stream, "close");
  const head = new Promise<IncomingHttpHeaders>((resolve, reject) => {
    stream.on("response", resolve);
    stream.on("close", () => reject(new Error(`the stream was reset with code ${stream.rstCode} before a response`)));
  });
  const headers = await head;
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await closed;
  if (stream.rstCode !== 0) throw new Error(`the stream was reset with code ${stream.rstCode}`);
  return { status: Number(headers[":status"]), headers, trailers, body: Buffer.concat(chunks).toString("latin1") };
}
