import type { Candidate, LlmRequest, RouteResult, RoutingStrategy } from 'routeiq-gateway/plugin';
import { type Random, weighted } from './choice.ts';
import { Estimate } from './estimate.ts';

export interface LatencyOptions {
  /** Deployments that are at most this share slower than the fastest one share its calls. */
  readonly margin: number;
  /** After that time without a result a deployment is measured again. Milliseconds. */
  readonly ttlMs: number;
  readonly clock: () => number;
  readonly random: Random;
}

/** What a failure counts as, in relation to what was measured so far. */
const PENALTY = 2;

/** What is known of one deployment. Milliseconds. */
interface Measured {
  readonly firstToken: Estimate;
  readonly perToken: Estimate;
}

/**
 * The fastest deployment: for streams the one with the shortest time to the first token, for other calls the one with
 * the least time for each token of the answer. A deployment that nothing is known of comes first, to be measured.
 */
export class LatencyBased implements RoutingStrategy {
  readonly #options: LatencyOptions;
  readonly #measured = new Map<string, Measured>();

  constructor(options: LatencyOptions) {
    this.#options = options;
  }

  select({ stream }: LlmRequest, candidates: readonly Candidate[]): Candidate | undefined {
    const { clock, margin, random } = this.#options;
    const now = clock();
    const times = candidates.map(({ id }) => {
      const { firstToken, perToken } = this.#of(id);
      return (stream ? firstToken : perToken).at(now) ?? 0;
    });
    const limit = Math.min(...times) * (1 + margin);
    return weighted(
      candidates.filter((_candidate, index) => (times[index] as number) <= limit),
      random,
    );
  }

  observe(result: RouteResult): void {
    const now = this.#options.clock();
    const { firstToken, perToken } = this.#of(result.deployment.id);
    if (!result.ok) {
      if (isRefusal(result.status)) return;
      firstToken.worsen(PENALTY, result.totalMs, now);
      perToken.worsen(PENALTY, result.totalMs, now);
      return;
    }
    if (result.firstTokenMs !== null) firstToken.add(result.firstTokenMs, now);
    const tokens = result.usage?.completionTokens ?? 0;
    perToken.add(result.totalMs / Math.max(1, tokens), now);
  }

  #of(id: string): Measured {
    const known = this.#measured.get(id);
    if (known !== undefined) return known;
    const { ttlMs } = this.#options;
    const fresh = { firstToken: new Estimate(ttlMs), perToken: new Estimate(ttlMs) };
    this.#measured.set(id, fresh);
    return fresh;
  }
}

/** The request was at fault, which says nothing of the deployment. */
function isRefusal(status: number | null): boolean {
  return status !== null && status >= 400 && status < 500 && status !== 408 && status !== 429;
}
