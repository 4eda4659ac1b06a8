import { hash } from 'node:crypto';
import type { Candidate, LlmRequest, RouteLoad, RoutingStrategy } from 'routeiq-gateway/plugin';
import { affinityKey } from './affinity-key.ts';
import { sum, weightsOf } from './choice.ts';

/**
 * Calls that begin alike go to the same deployment, whose prompt cache they then hit. Weighted rendezvous hashing: when
 * a deployment comes or goes, only its own share of the prompts moves. A deployment with more than `loadFactor` times
 * the average load leaves its calls to the next one ("consistent hashing with bounded loads").
 */
export class ConsistentHash implements RoutingStrategy {
  readonly #loadFactor: number;

  constructor(loadFactor: number) {
    this.#loadFactor = loadFactor;
  }

  select(
    request: LlmRequest,
    candidates: readonly Candidate[],
    { inFlight }: RouteLoad,
  ): Candidate | undefined {
    const key = affinityKey(request);
    const weights = weightsOf(candidates);
    const allowed = (this.#loadFactor * (sum(inFlight) + 1)) / sum(weights);
    return candidates
      .map((candidate, index) => {
        const weight = weights[index] as number;
        const hasRoom = (inFlight[index] as number) < Math.ceil(allowed * weight);
        return { candidate, hasRoom, score: weight / -Math.log(fractionOf(`${key} ${candidate.id}`)) };
      })
      .filter(({ hasRoom }) => hasRoom)
      .reduce<{ candidate?: Candidate; score: number }>(
        (best, each) => (each.score > best.score ? each : best),
        { score: 0 },
      ).candidate;
  }
}

/** A number between 0 and 1, neither of them included, that looks random and is the same for the same text. */
function fractionOf(text: string): number {
  const bits = Number.parseInt(hash('sha1', text).slice(0, 12), 16);
  return (bits + 0.5) / 2 ** 48;
}
