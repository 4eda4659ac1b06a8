import type { Candidate } from 'routeiq-gateway/plugin';

/** A source of numbers from 0 up to, but not, 1. */
export type Random = () => number;

/** The candidates for which `score` is lowest. */
export function lowest(
  candidates: readonly Candidate[],
  score: (candidate: Candidate, index: number) => number,
): readonly Candidate[] {
  const scores = candidates.map(score);
  const best = Math.min(...scores);
  return candidates.filter((_candidate, index) => scores[index] === best);
}

/** By chance, in proportion to the weights; where all of these are 0, in equal parts. */
export function weighted(candidates: readonly Candidate[], random: Random): Candidate | undefined {
  const weights = weightsOf(candidates);
  let left = random() * sum(weights);
  return candidates.find((_candidate, index) => {
    left -= weights[index] as number;
    return left < 0;
  });
}

/** A group whose weights are all 0 is one whose weights are all the same. */
export function weightsOf(candidates: readonly Candidate[]): readonly number[] {
  const weights = candidates.map(({ weight }) => weight);
  return weights.some((weight) => weight > 0) ? weights : weights.map(() => 1);
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
