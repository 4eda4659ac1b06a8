import type { Candidate, LlmRequest, RoutingStrategy } from 'routeiq-gateway/plugin';
import { sum, weightsOf } from './choice.ts';

/**
 * One after the other, each as often as its weight says and as evenly as that allows: a deployment of weight 2 is not
 * called twice in a row where another one can stand between ("smooth weighted round-robin", as nginx has it).
 */
export class RoundRobin implements RoutingStrategy {
  /** How long each deployment has waited for its turn, in units of weight. */
  readonly #credit = new Map<string, number>();

  select(_request: LlmRequest, candidates: readonly Candidate[]): Candidate | undefined {
    const weights = weightsOf(candidates);
    let next: Candidate | undefined;
    let most = Number.NEGATIVE_INFINITY;
    for (const [index, candidate] of candidates.entries()) {
      const credit = (this.#credit.get(candidate.id) ?? 0) + (weights[index] as number);
      this.#credit.set(candidate.id, credit);
      if (credit <= most || weights[index] === 0) continue;
      most = credit;
      next = candidate;
    }
    if (next !== undefined) this.#credit.set(next.id, most - sum(weights));
    return next;
  }
}
