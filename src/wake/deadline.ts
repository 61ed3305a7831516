// A bound on how long one caller waits. What it waits for goes on.

/** Resolves or rejects as `work` does, or rejects with `late()` after `timeoutMs`. */
export async function within<Result>(timeoutMs: number, work: Promise<Result>, late: () => Error): Promise<Result> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late()), timeoutMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
