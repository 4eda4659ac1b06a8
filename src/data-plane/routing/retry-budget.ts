/** Share of the calls that may be tried once more. */
const RATIO = 0.1;
/** Calls and retries are counted for that long, then afresh. Milliseconds. */
const WINDOW_MS = 10_000;
/** Retries in each of these windows that need no calls to pay for them: a single failure is retried at any load. */
const FLOOR = 10;

/**
 * Bounds the retries in a group: within any ten seconds of the caller's clock at most a tenth of the calls, or ten if
 * that is more. An upstream that fails for everybody sees a tenth more than its load, and never a multiple of it.
 */
export class RetryBudget {
  #windowEnd = Number.NEGATIVE_INFINITY;
  #calls = 0;
  #spent = 0;

  /** A call has come in. */
  earn(now: number): void {
    this.#turn(now);
    this.#calls++;
  }

  /** Takes one retry out of the budget. False: there is none left. */
  spend(now: number): boolean {
    this.#turn(now);
    if (this.#spent + 1 > Math.max(FLOOR, this.#calls * RATIO)) return false;
    this.#spent++;
    return true;
  }

  #turn(now: number): void {
    if (now < this.#windowEnd) return;
    this.#windowEnd = now + WINDOW_MS;
    this.#calls = 0;
    this.#spent = 0;
  }
}
