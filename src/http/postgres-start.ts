// What a Postgres client says before TLS (PostgreSQL documentation, "Message Formats": SSLRequest, GSSENCRequest, CancelRequest,
// StartupMessage; and direct TLS, which begins with the handshake). Bytes in, a verdict out, no I/O.

/**
 * - ssl_request: to be answered with SSL_YES, and TLS begins
 * - gss_request: to be answered with GSS_NO, and something else is asked for
 * - tls: TLS has begun
 * - plain: it goes on without TLS, or is no Postgres at all
 */
export type PostgresStart = "ssl_request" | "gss_request" | "tls" | "plain";

/** Length of both requests. */
export const POSTGRES_REQUEST_BYTES = 8;
export const SSL_YES = Buffer.from("S", "latin1");
export const GSS_NO = Buffer.from("N", "latin1");

const TLS_HANDSHAKE = 22;
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const GSS_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]);

/** null: there is too little of it. */
export function readPostgresStart(bytes: Buffer): PostgresStart | null {
  if (bytes.length === 0) return null;
  if (bytes[0] === TLS_HANDSHAKE) return "tls";
  const length = Math.min(bytes.length, POSTGRES_REQUEST_BYTES);
  const isLike = (request: Buffer): boolean => bytes.compare(request, 0, length, 0, length) === 0;
  const [isSsl, isGss] = [isLike(SSL_REQUEST), isLike(GSS_REQUEST)];
  if (!isSsl && !isGss) return "plain";
  if (length < POSTGRES_REQUEST_BYTES) return null;
  return isSsl ? "ssl_request" : "gss_request";
}

/** ErrorResponse of a failure that ends the connection; clients show its text. */
export function postgresError(sqlState: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${sqlState}\0M${message}\0\0`, "utf8");
  const head = Buffer.alloc(5);
  head.write("E", 0, "latin1");
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}
