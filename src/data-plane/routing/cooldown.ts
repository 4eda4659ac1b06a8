/** Failures are counted within that time. Milliseconds. */
const WINDOW_MS = 60_000;

/** How an attempt was let through: as ever, or as the one that finds out whether a deployment is well again. */
export type Pass = 'regular' | 'probe';

/**
 * Takes a deployment out of service: after more than `allowedFails` failures within a minute it is left out for
 * `cooldownMs`. Then it is half open: one attempt at a time is let through, and its success brings the deployment back,
 * its failure begins the next cool-down. Times are of the caller's clock, in milliseconds.
 */
export class Cooldown {
  readonly #allowedFails: number;
  readonly #cooldownMs: number;
  #fails = 0;
  #windowEnd = 0;
  #halfOpen = false;
  #probing = false;
  /** The deployment is left out until then. */
  until: number = Number.NEGATIVE_INFINITY;
  /** The upstream has asked to be left alone until then (`Retry-After`). Others are preferred. */
  restUntil: number = Number.NEGATIVE_INFINITY;

  constructor(allowedFails: number, cooldownMs: number) {
    this.#allowedFails = allowedFails;
    this.#cooldownMs = cooldownMs;
  }

  /** Whether an attempt would be let through now. */
  allows(now: number): boolean {
    return this.until <= now && !this.#probing;
  }

  /** Lets an attempt through; `null`: not now. What was let through ends in one of the calls below. */
  begin(now: number): Pass | null {
    if (!this.allows(now)) return null;
    if (!this.#halfOpen) return 'regular';
    this.#probing = true;
    return 'probe';
  }

  succeed(pass: Pass): void {
    if (pass !== 'probe') return;
    this.#probing = false;
    this.#halfOpen = false;
  }

  /** The attempt has shown nothing: the client was gone before its answer. */
  release(pass: Pass): void {
    if (pass === 'probe') this.#probing = false;
  }

  fail(pass: Pass, now: number): void {
    if (pass === 'probe') this.#probing = false;
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + WINDOW_MS;
      this.#fails = 0;
    }
    this.#fails++;
    if (pass === 'probe' || this.#fails > this.#allowedFails) this.#trip(now);
  }

  #trip(now: number): void {
    this.until = now + this.#cooldownMs;
    this.#windowEnd = 0;
    this.#halfOpen = true;
  }
}
