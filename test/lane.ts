// A process that runs test files for run.ts, one after the other, so that the program and the tests' own support are loaded once and not for
// each file. What happens goes to run.ts as it comes. The runner takes a file for over when nothing keeps the event loop going any more.

import { run } from "node:test";
import { pathToFileURL } from "node:url";

/** What run.ts asks for. */
export interface LaneOrder {
  /** Absolute path. */
  readonly file: string;
  /** With whatever it leaves open, in milliseconds. */
  readonly fileMs: number;
}

/** As the reporters of node:test take it. */
export interface TestEvent {
  readonly type: string;
  readonly data: unknown;
}

export type LaneReport =
  | { readonly kind: "event"; readonly event: TestEvent }
  /** `error`: what went wrong outside its tests; null: nothing. */
  | { readonly kind: "done"; readonly error: string | null; readonly rssBytes: number }
  /** It does not end, for what it has left open. */
  | { readonly kind: "stuck"; readonly open: string };

process.on("message", (order: LaneOrder) => void runFile(order));

async function runFile({ file, fileMs }: LaneOrder): Promise<void> {
  process.channel!.unref();
  const onStuck = (): void => report({ kind: "stuck", open: process.getActiveResourcesInfo().join(", ") });
  const timer = setTimeout(onStuck, fileMs).unref();
  let isGood = true;
  for await (const event of run({ files: [file], isolation: "none" })) {
    report({ kind: "event", event });
    if (event.type === "test:summary") isGood = event.data.success || event.data.counts.failed + event.data.counts.cancelled > 0;
  }
  // Keeps the process for the next one.
  process.channel!.ref();
  clearTimeout(timer);
  const error = isGood ? await importError(file) : "something went wrong outside its tests; it was said above";
  report({ kind: "done", error, rssBytes: process.memoryUsage.rss() });
}

/** The runner says nothing of a file that throws while it is loaded. It is loaded now, so that this only tells how that went. */
async function importError(file: string): Promise<string | null> {
  try {
    await import(pathToFileURL(file).href);
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

function report(message: LaneReport): void {
  process.send!(message);
}
