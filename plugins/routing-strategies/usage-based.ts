import type { Candidate, LlmRequest, RouteResult, RoutingStrategy } from 'routeiq-gateway/plugin';
import { lowest, type Random, weighted } from './choice.ts';
import type { Usage, UsageCounts } from './usage-counts.ts';

/** Behind every share of a limit: a deployment whose limit is reached is the last resort. */
const FULL = 1_000_000;

/**
 * The deployment that has used the least in this minute: the least of its `rpm` and `tpm`, or the fewest tokens where
 * it has no limits. One that has reached a limit is passed over as long as another one has not.
 */
export class UsageBased implements RoutingStrategy {
  readonly #counts: UsageCounts;
  readonly #random: Random;

  constructor(counts: UsageCounts, random: Random) {
    this.#counts = counts;
    this.#random = random;
  }

  select(_request: LlmRequest, candidates: readonly Candidate[]): Candidate | undefined {
    const used = new Map(candidates.map(({ id }) => [id, this.#counts.of(id)]));
    // Shares and counts do not compare: limits decide only where every candidate has one.
    const isLimited = candidates.every(({ rpm, tpm }) => rpm !== null || tpm !== null);
    const chosen = weighted(
      lowest(candidates, (candidate) => scoreOf(candidate, used.get(candidate.id) as Usage, isLimited)),
      this.#random,
    );
    if (chosen !== undefined) this.#counts.add(chosen.id, { requests: 1, tokens: 0 });
    return chosen;
  }

  observe({ deployment, usage }: RouteResult): void {
    if (usage !== null) this.#counts.add(deployment.id, { requests: 0, tokens: usage.totalTokens });
  }
}

function scoreOf({ rpm, tpm }: Candidate, { requests, tokens }: Usage, isLimited: boolean): number {
  const share = Math.max(rpm === null ? 0 : requests / rpm, tpm === null ? 0 : tokens / tpm);
  if (share >= 1) return FULL * share;
  // A share of a limit, or what stays below FULL as well.
  return isLimited ? share : FULL * (1 - 1 / (1 + tokens + requests));
}
