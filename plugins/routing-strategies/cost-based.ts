import type { Candidate, RoutingStrategy } from 'routeiq-gateway/plugin';
import { lowest, type Random, weighted } from './choice.ts';

/** The cheapest deployment; among equals by chance, in proportion to the weights. */
export function costBased(random: Random): RoutingStrategy {
  return { select: (_request, candidates) => weighted(lowest(candidates, priceOf), random) };
}

/** Of one token in and one out. A deployment whose price nobody has told may cost anything: it comes last. */
function priceOf({ inputCostPerToken, outputCostPerToken }: Candidate): number {
  if (inputCostPerToken === null || outputCostPerToken === null) return Number.MAX_VALUE;
  return inputCostPerToken + outputCostPerToken;
}
