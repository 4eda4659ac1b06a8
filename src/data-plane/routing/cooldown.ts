/** Failures are counted within that time. Milliseconds. */
const WINDOW_MS = 60_000;

/**
 * Takes a deployment out of service: after more than `allowedFails` failures within a minute it is left out for
 * `cooldownMs`, and then starts afresh. Times are of the caller's clock, in milliseconds.
 */
export class Cooldown {
  readonly #allowedFails: number;
  readonly #cooldownMs: number;
  #fails = 0;
  #windowEnd = 0;
  /** The deployment is left out until then. */
  until: number = Number.NEGATIVE_INFINITY;

  constructor(allowedFails: number, cooldownMs: number) {
    this.#allowedFails = allowedFails;
    this.#cooldownMs = cooldownMs;
  }

  fail(now: number): void {
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + WINDOW_MS;
      this.#fails = 0;
    }
    this.#fails++;
    if (this.#fails <= this.#allowedFails) return;
    this.until = now + this.#cooldownMs;
    this.#windowEnd = 0;
  }
}
