import {
  GatewayError,
  type Reservation,
  type Storage,
  type StorageValue,
  type UsageEstimate,
  type UsageOutcome,
} from 'routeiq-gateway/plugin';
import { type Claim, claimsOf, type Demand, NANO_PER_USD, spendingCounter } from './claims.ts';
import type { Limits, VirtualKey } from './virtual-key.ts';

export interface AccountsOptions {
  readonly storage: Storage;
  readonly bytesPerToken: number;
  readonly assumedOutputTokens: number;
  readonly unpricedAreFree: boolean;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** What `settle` needs to know of a reservation. Amounts by counter. */
interface Ticket {
  readonly [counter: string]: {
    readonly unit: Claim['unit'];
    readonly amount: number;
    readonly ttlMs: number;
  };
}

/**
 * Keeps the counters of every key. The most that a call can use is added before the call and corrected after it, each
 * time in one atomic step: however many calls and replicas there are at once, no counter stays above its limit.
 */
export class Accounts {
  readonly #options: AccountsOptions;

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  /** @throws GatewayError `rate_limit_exceeded`; `permission_error` for a model whose price is not known */
  async reserve(estimate: UsageEstimate): Promise<Reservation | null> {
    const { identity } = estimate;
    const limits = identity.limits as Limits;
    const claims = claimsOf(identity.id, limits, this.#demandOf(estimate, limits), this.#options.now());
    if (claims.length === 0) return null;
    const { storage } = this.#options;
    const sums = await Promise.all(
      claims.map(({ counter, amount, ttlMs }) => storage.increment(counter, amount, toOptions(ttlMs))),
    );
    const over = claims.find(({ limit }, index) => (sums[index] ?? 0) > limit);
    if (over === undefined) return { ticket: toTicket(claims), headers: headersOf(claims, sums) };
    await Promise.all(claims.map(({ counter, amount, ttlMs }) => this.#add(counter, -amount, ttlMs)));
    throw refusal(identity.id, over, headersOf(claims, sums));
  }

  async settle(ticket: StorageValue, outcome: UsageOutcome): Promise<void> {
    const entries = Object.entries(ticket as unknown as Ticket);
    await Promise.all(
      entries.map(([counter, { unit, amount, ttlMs }]) =>
        this.#add(counter, usedOf(unit, amount, outcome) - amount, ttlMs),
      ),
    );
  }

  /** What a key has spent in the current period, in USD; `null` without a budget. */
  async spent({ id, budget }: VirtualKey): Promise<number | null> {
    if (budget === null) return null;
    const spent = await this.#options.storage.get(
      spendingCounter(id, budget.period, this.#options.now()).counter,
    );
    return (typeof spent === 'number' ? spent : 0) / NANO_PER_USD;
  }

  /** A counter that has expired meanwhile is begun anew by this; it expires like one that was not. */
  async #add(counter: string, amount: number, ttlMs: number): Promise<void> {
    if (amount !== 0) await this.#options.storage.increment(counter, amount, toOptions(ttlMs));
  }

  #demandOf(estimate: UsageEstimate, { budget }: Limits): Demand {
    const { bytesPerToken, assumedOutputTokens } = this.#options;
    const input = Math.ceil(estimate.inputBytes / bytesPerToken);
    const output = estimate.maxOutputTokens ?? assumedOutputTokens;
    const costUsd =
      budget === null ? 0 : input * this.#price(estimate, 'input') + output * this.#price(estimate, 'output');
    return { tokens: input + output, costUsd };
  }

  #price(estimate: UsageEstimate, side: 'input' | 'output'): number {
    const price = estimate[`${side}CostPerToken`];
    if (price !== null) return price;
    if (this.#options.unpricedAreFree) return 0;
    throw new GatewayError(
      'permission_error',
      `The key "${estimate.identity.id}" has a budget, and the price of the model "${estimate.model}" is not known`,
      { param: 'model' },
    );
  }
}

/** Calls count as they are; what is not known may all have been used. */
function usedOf(unit: Claim['unit'], reserved: number, { answered, usage, costUsd }: UsageOutcome): number {
  if (!answered) return unit === 'requests' ? reserved : 0;
  if (unit === 'tokens' && usage !== null) return usage.totalTokens;
  if (unit === 'cost' && costUsd !== null) return Math.ceil(costUsd * NANO_PER_USD);
  return reserved;
}

function toTicket(claims: readonly Claim[]): StorageValue {
  return Object.fromEntries(
    claims.map(({ counter, unit, amount, ttlMs }) => [counter, { unit, amount, ttlMs }]),
  );
}

function toOptions(ttlMs: number): { readonly ttlMs?: number } {
  return ttlMs === 0 ? {} : { ttlMs };
}

/** The names that OpenAI's API has for them. A budget is nothing that clients should see. */
function headersOf(claims: readonly Claim[], sums: readonly number[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [index, { unit, limit, resetMs }] of claims.entries()) {
    if (unit === 'cost') continue;
    headers[`x-ratelimit-limit-${unit}`] = String(limit);
    headers[`x-ratelimit-remaining-${unit}`] = String(Math.max(0, limit - (sums[index] ?? 0)));
    headers[`x-ratelimit-reset-${unit}`] = `${Math.ceil((resetMs ?? 0) / 1000)}s`;
  }
  return headers;
}

function refusal(id: string, claim: Claim, headers: Record<string, string>): GatewayError {
  const { resetMs } = claim;
  const retryAfter =
    resetMs === null ? {} : { 'retry-after': String(Math.max(1, Math.ceil(resetMs / 1000))) };
  return new GatewayError('rate_limit_exceeded', `The key "${id}" has no ${claim.what} left`, {
    headers: { ...headers, ...retryAfter },
  });
}
