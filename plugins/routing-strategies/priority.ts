import type { RoutingStrategy } from 'routeiq-gateway/plugin';
import { lowest, type Random, weighted } from './choice.ts';

/** The lowest `order` that is in service; among equals by chance, in proportion to the weights. */
export function priority(random: Random): RoutingStrategy {
  return {
    select: (_request, candidates) =>
      weighted(
        lowest(candidates, ({ order }) => order ?? Number.MAX_VALUE),
        random,
      ),
  };
}
