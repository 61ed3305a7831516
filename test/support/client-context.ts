// What clients of TLS share that connect again and again. Each would otherwise make a context of its own, which takes longer than all else that it
// does.

import { createSecureContext, type SecureContext } from "node:tls";

/**
 * One curve, because the hybrid key exchange that OpenSSL begins with otherwise is a quarter of the work of both sides.
 *
 * @param ca in PEM; none: that of a server that is not verified
 */
export function clientContext(ca?: string): SecureContext {
  return createSecureContext({ ecdhCurve: "X25519", ...(ca === undefined ? {} : { ca }) });
}
