/** Counts of values in buckets, as plain numbers: what an observation costs is one walk over some bounds. */
export class BucketCounts {
  readonly #bounds: readonly number[];
  /** The last one is for what is greater than every bound. */
  readonly #counts: Float64Array;
  sum = 0;

  /** @param bounds upper bounds, inclusive, ascending */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at++;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.sum += value;
  }

  /** How many values are not greater than each bound, and than infinity, in Prometheus's own cumulative way. */
  cumulative(): { readonly le: number | '+Inf'; readonly count: number }[] {
    let count = 0;
    return [...this.#counts].map((each, at) => {
      count += each;
      return { le: this.#bounds[at] ?? ('+Inf' as const), count };
    });
  }
}
