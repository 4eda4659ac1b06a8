import type { Limits, Period } from './virtual-key.ts';

/** Counters hold whole numbers, so that no sum is ever rounded: billionths of a dollar. */
export const NANO_PER_USD = 1e9;

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** What a call may use at most. */
export interface Demand {
  readonly tokens: number;
  readonly costUsd: number;
}

/** A share of a counter that a call asks for. */
export interface Claim {
  readonly unit: 'requests' | 'tokens' | 'cost';
  /** For messages. */
  readonly what: string;
  /** Key in the store. */
  readonly counter: string;
  readonly amount: number;
  readonly limit: number;
  /** Milliseconds until the counter begins anew; `null`: never. */
  readonly resetMs: number | null;
  /** How long the counter is kept, longer than it is used, so that late corrections find it; 0: for ever. */
  readonly ttlMs: number;
}

/** The claims of one call. Windows are fixed: minutes, and days, weeks and months in UTC. */
export function claimsOf(
  id: string,
  { rpm, tpm, budget }: Limits,
  demand: Demand,
  now: number,
): readonly Claim[] {
  const claims: Claim[] = [];
  const minute = Math.floor(now / MINUTE_MS);
  const perMinute = { resetMs: (minute + 1) * MINUTE_MS - now, ttlMs: 10 * MINUTE_MS };
  if (rpm !== null) {
    const counter = `requests:${id}:${minute}`;
    claims.push({
      unit: 'requests',
      what: 'requests per minute',
      counter,
      amount: 1,
      limit: rpm,
      ...perMinute,
    });
  }
  if (tpm !== null) {
    const counter = `tokens:${id}:${minute}`;
    const { tokens } = demand;
    claims.push({
      unit: 'tokens',
      what: 'tokens per minute',
      counter,
      amount: tokens,
      limit: tpm,
      ...perMinute,
    });
  }
  if (budget !== null) {
    const amount = Math.ceil(demand.costUsd * NANO_PER_USD);
    const limit = Math.floor(budget.usd * NANO_PER_USD);
    claims.push({ unit: 'cost', what: 'budget', amount, limit, ...spendingCounter(id, budget.period, now) });
  }
  return claims;
}

/** Where the spending of the current period is counted. */
export function spendingCounter(
  id: string,
  period: Period,
  now: number,
): Pick<Claim, 'counter' | 'resetMs' | 'ttlMs'> {
  if (period === 'total') return { counter: `spent:${id}:total`, resetMs: null, ttlMs: 0 };
  const [start, end] = boundsOf(period, now);
  const day = new Date(start).toISOString().slice(0, 10);
  return { counter: `spent:${id}:${period}:${day}`, resetMs: end - now, ttlMs: end - now + DAY_MS };
}

/** Weeks begin on Mondays (ISO 8601). The epoch was a Thursday. */
function boundsOf(period: Exclude<Period, 'total'>, now: number): readonly [number, number] {
  const date = new Date(now);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  if (period === 'month') return [Date.UTC(year, month), Date.UTC(year, month + 1)];
  const day = Math.floor(now / DAY_MS);
  const first = period === 'day' ? day : day - ((day + 3) % 7);
  const days = period === 'day' ? 1 : 7;
  return [first * DAY_MS, (first + days) * DAY_MS];
}
