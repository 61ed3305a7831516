// The part of autocannon that the benchmarks use; the package has no types of its own.

declare module "autocannon" {
  interface Options {
    readonly url: string;
    readonly connections?: number;
    readonly duration?: number;
    readonly amount?: number;
    readonly headers?: Readonly<Record<string, string>>;
  }

  interface Result {
    readonly errors: number;
    readonly non2xx: number;
    readonly requests: { readonly total: number };
  }

  interface Run extends PromiseLike<Result> {
    on(event: "response", listener: (client: unknown, status: number, bytes: number, responseTimeMs: number) => void): this;
  }

  export default function autocannon(options: Options): Run;
}
