// Hot path. A time in microseconds as text, put together from pieces that are made once. Were the number turned into text as it is, the
// engine would keep both in a cache of its own for so long that they end in the old generation: memory that grows with every request until
// the next full collection.

const THREE_DIGITS: readonly string[] = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, "0"));

export class MicrosecondText {
  #second = -1;
  #secondText = "";

  /** @param us microseconds since the epoch, whole */
  of(us: number): string {
    const second = Math.floor(us / 1_000_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = String(second);
    }
    const rest = us - second * 1_000_000;
    const ms = Math.floor(rest / 1000);
    return this.#secondText + THREE_DIGITS[ms]! + THREE_DIGITS[rest - ms * 1000]!;
  }
}
