import type { LlmRequest } from '../../plugin-api/llm.ts';
import type { Candidate, RouteLoad, RoutingStrategy } from '../../plugin-api/routing.ts';

/** A source of numbers from 0 up to, but not, 1. */
export type Random = () => number;

/** The strategy that decides when no plugin does. It is asked as a plugin's is, and knows what a plugin's knows. */
export class SimpleShuffle implements RoutingStrategy {
  static readonly strategyName: string = 'simple-shuffle';
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  select(_request: LlmRequest, candidates: readonly Candidate[], _load: RouteLoad): Candidate | undefined {
    return shuffle(candidates, this.#random);
  }
}

/** By chance, in proportion to the weights. When all weights are 0, in equal parts. */
export function shuffle(candidates: readonly Candidate[], random: Random): Candidate | undefined {
  if (candidates.length < 2) return candidates[0];
  let total = 0;
  for (const candidate of candidates) total += candidate.weight;
  if (total <= 0) return candidates[Math.floor(random() * candidates.length)];
  let left = random() * total;
  for (const candidate of candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate;
  }
  return candidates.at(-1);
}
