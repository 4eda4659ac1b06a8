/** When a plugin's failures are too many, and how long it then rests. */
export interface BreakerPolicy {
  /** Failures within the window that trip. At least 1. */
  readonly failureThreshold: number;
  readonly failureWindowMs: number;
  /** First cool-down; doubles with each further trip, up to {@link MAX_COOLDOWN_FACTOR} times. */
  readonly cooldownMs: number;
}

/** See `LLMROUTER_PLUGINS_COOLDOWN_MS`. */
export const MAX_COOLDOWN_FACTOR = 32;

/**
 * Counts one plugin's failures in a sliding window, and the length of its cool-downs. It decides nothing else: the
 * caller turns a trip into a transition.
 */
export class Breaker {
  readonly #policy: BreakerPolicy;
  #recent: number[] = [];
  #total = 0;
  #trips = 0;

  constructor(policy: BreakerPolicy) {
    this.#policy = policy;
  }

  /** Counts a failure at `now` (epoch milliseconds). True: the threshold has been reached. */
  fail(now: number): boolean {
    this.#total++;
    this.#recent.push(now);
    return this.recent(now) >= this.#policy.failureThreshold;
  }

  /** Notes a trip and returns the cool-down that follows, in milliseconds. */
  trip(): number {
    const factor = Math.min(2 ** this.#trips, MAX_COOLDOWN_FACTOR);
    this.#trips++;
    return this.#policy.cooldownMs * factor;
  }

  /** After a trial that succeeded: nothing that failed before it counts towards the next trip. */
  forgive(): void {
    this.#recent = [];
  }

  /** After an operator's release: the next cool-down is the first again. */
  reset(): void {
    this.#trips = 0;
    this.forgive();
  }

  /** Failures within the window that ends at `now`. */
  recent(now: number): number {
    const since = now - this.#policy.failureWindowMs;
    this.#recent = this.#recent.filter((at) => at > since);
    return this.#recent.length;
  }

  /** Failures since the start. */
  get total(): number {
    return this.#total;
  }
}
