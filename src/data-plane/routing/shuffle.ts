import type { Candidate } from '../../plugin-api/routing.ts';

/** A source of numbers from 0 up to, but not, 1. */
export type Random = () => number;

/** The default strategy: by chance, in proportion to the weights. When all weights are 0, in equal parts. */
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
