import type { ClientRateLimitInfo, Options, Store } from 'express-rate-limit';
import type { Storage } from 'routeiq-gateway/plugin';

/**
 * Counts in the gateway's store, so that replicas count together. Windows are fixed, as a counter in the store cannot tell
 * when it began: all callers' windows begin at the same moments.
 */
export class SharedStore implements Store {
  /** Tells `express-rate-limit` that others may use the same counters. */
  readonly localKeys = false;
  readonly #storage: Storage;
  readonly #now: () => number;
  #windowMs = 60_000;

  /** @param now epoch milliseconds */
  constructor(storage: Storage, now: () => number) {
    this.#storage = storage;
    this.#now = now;
  }

  init({ windowMs }: Options): void {
    this.#windowMs = windowMs;
  }

  async increment(key: string): Promise<ClientRateLimitInfo> {
    const { counter, resetTime } = this.#window(key);
    const totalHits = await this.#storage.increment(counter, 1, { ttlMs: 2 * this.#windowMs });
    return { totalHits, resetTime };
  }

  async decrement(key: string): Promise<void> {
    await this.#storage.increment(this.#window(key).counter, -1, { ttlMs: 2 * this.#windowMs });
  }

  async resetKey(key: string): Promise<void> {
    await this.#storage.delete(this.#window(key).counter);
  }

  #window(key: string): { readonly counter: string; readonly resetTime: Date } {
    const window = Math.floor(this.#now() / this.#windowMs);
    return { counter: `${key}:${window}`, resetTime: new Date((window + 1) * this.#windowMs) };
  }
}
