import type { RoutingStrategy } from 'routeiq-gateway/plugin';
import { lowest, type Random, weighted } from './choice.ts';

/** The deployment with the fewest calls that still run; among equals by chance, in proportion to the weights. */
export function leastBusy(random: Random): RoutingStrategy {
  return {
    select: (_request, candidates, { inFlight }) =>
      weighted(
        lowest(candidates, (_candidate, index) => inFlight[index] as number),
        random,
      ),
  };
}
