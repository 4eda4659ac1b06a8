import {
  type Candidate,
  GatewayError,
  type LlmRequest,
  type RouteResult,
  type RoutingStrategy,
} from 'routeiq-gateway/plugin';
import { lowest, type Random, weighted } from './choice.ts';
import type { Usage, UsageCounts } from './usage-counts.ts';

/** Behind every share of a limit. */
const FULL = 1_000_000;

/**
 * The deployment that has used the least in this minute: the least of its `rpm` and `tpm`, or the fewest tokens where
 * it has no limits. One that has reached a limit is passed over; when all have, the call is refused until the next
 * minute.
 */
export class UsageBased implements RoutingStrategy {
  readonly #counts: UsageCounts;
  readonly #random: Random;

  constructor(counts: UsageCounts, random: Random) {
    this.#counts = counts;
    this.#random = random;
  }

  /** @throws GatewayError `rate_limit_exceeded`, with `Retry-After` */
  select(request: LlmRequest, candidates: readonly Candidate[]): Candidate | undefined {
    const used = new Map(candidates.map(({ id }) => [id, this.#counts.of(id)]));
    if (candidates.every((candidate) => shareOf(candidate, used.get(candidate.id) as Usage) >= 1)) {
      throw allReached(request.model, this.#counts.leftMs());
    }
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

function scoreOf(candidate: Candidate, used: Usage, isLimited: boolean): number {
  const share = shareOf(candidate, used);
  if (share >= 1) return FULL;
  // A share of a limit, or what stays below FULL as well.
  return isLimited ? share : FULL * (1 - 1 / (1 + used.tokens + used.requests));
}

/** What has been used of the limit that is nearer; 1: it is reached. A limit of 0 is reached before the first call. */
function shareOf({ rpm, tpm }: Candidate, { requests, tokens }: Usage): number {
  return Math.max(rpm === null ? 0 : part(requests, rpm), tpm === null ? 0 : part(tokens, tpm));
}

function part(used: number, limit: number): number {
  return used >= limit ? 1 : used / limit;
}

function allReached(model: string, leftMs: number): GatewayError {
  return new GatewayError(
    'rate_limit_exceeded',
    `All deployments of the model ${JSON.stringify(model)} have reached their rpm or tpm for this minute`,
    { param: 'model', headers: { 'retry-after': String(Math.max(1, Math.ceil(leftMs / 1000))) } },
  );
}
