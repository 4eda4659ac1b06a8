import type { PluginContext } from 'routeiq-gateway/plugin';

const MINUTE_MS = 60_000;

/** What one deployment has used. */
export interface Usage {
  readonly requests: number;
  readonly tokens: number;
}

export interface UsageCountsOptions {
  /** Epoch milliseconds: all gateways count the same minutes. */
  readonly clock: () => number;
  /** `null`: this process counts for itself. */
  readonly shared: { readonly storage: PluginContext['storage']; readonly syncMs: number } | null;
  readonly logger: Pick<PluginContext['logger'], 'warn'>;
}

interface Count {
  /** What the store has said, of all gateways. */
  known: Usage;
  /** What is not in it yet. */
  own: Usage;
}

const NONE: Usage = { requests: 0, tokens: 0 };

/**
 * What each deployment has used in the current minute. Shared counts are exchanged in the background, so that no
 * request waits for the store; what other gateways have used is seen with that delay.
 */
export class UsageCounts {
  readonly #options: UsageCountsOptions;
  readonly #counts = new Map<string, Count>();
  #minute = 0;
  #syncedAt = Number.NEGATIVE_INFINITY;
  #isSyncing = false;

  constructor(options: UsageCountsOptions) {
    this.#options = options;
  }

  of(id: string): Usage {
    this.#turn();
    const { known, own } = this.#countOf(id);
    return plus(known, own);
  }

  /** Milliseconds until the next minute begins. */
  leftMs(): number {
    return MINUTE_MS - (this.#options.clock() % MINUTE_MS);
  }

  add(id: string, usage: Usage): void {
    this.#turn();
    const count = this.#countOf(id);
    count.own = plus(count.own, usage);
    this.#syncIfDue();
  }

  #turn(): void {
    const minute = Math.floor(this.#options.clock() / MINUTE_MS);
    if (minute === this.#minute) return;
    this.#minute = minute;
    this.#counts.clear();
  }

  #countOf(id: string): Count {
    const known = this.#counts.get(id);
    if (known !== undefined) return known;
    const fresh = { known: NONE, own: NONE };
    this.#counts.set(id, fresh);
    return fresh;
  }

  #syncIfDue(): void {
    const { shared, clock, logger } = this.#options;
    if (shared === null || this.#isSyncing || clock() - this.#syncedAt < shared.syncMs) return;
    this.#isSyncing = true;
    this.#syncedAt = clock();
    this.#sync(shared.storage)
      .catch((error: unknown) =>
        logger.warn('usage could not be shared: only own calls are counted', { error }),
      )
      .finally(() => {
        this.#isSyncing = false;
      });
  }

  async #sync(storage: PluginContext['storage']): Promise<void> {
    const prefix = `usage:${this.#minute}:`;
    const add = (id: string, kind: keyof Usage, by: number): Promise<number> =>
      storage.increment(`${prefix}${kind}:${id}`, by, { ttlMs: 2 * MINUTE_MS });
    await Promise.all(
      [...this.#counts].map(async ([id, count]) => {
        const sent = count.own;
        const [requests, tokens] = await Promise.all([
          add(id, 'requests', sent.requests),
          add(id, 'tokens', sent.tokens),
        ]);
        count.known = { requests, tokens };
        count.own = { requests: count.own.requests - sent.requests, tokens: count.own.tokens - sent.tokens };
      }),
    );
  }
}

function plus(left: Usage, right: Usage): Usage {
  return { requests: left.requests + right.requests, tokens: left.tokens + right.tokens };
}
