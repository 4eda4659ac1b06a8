/** Share of a new value in the mean. */
const SHARE = 0.3;

/** A mean in which the newest values count most, and which is forgotten when no new ones come. */
export class Estimate {
  readonly #ttlMs: number;
  #mean: number | null = null;
  #addedAt = 0;

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /** `null`: nothing is known, or it is too long ago. */
  at(now: number): number | null {
    return now - this.#addedAt > this.#ttlMs ? null : this.#mean;
  }

  add(value: number, now: number): void {
    const mean = this.at(now);
    this.#mean = mean === null ? value : mean + (value - mean) * SHARE;
    this.#addedAt = now;
  }

  /** Multiplies the mean; `value` takes its place when nothing is known and when it is higher. */
  worsen(factor: number, value: number, now: number): void {
    this.#mean = Math.max((this.at(now) ?? 0) * factor, value);
    this.#addedAt = now;
  }
}
