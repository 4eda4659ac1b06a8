import type { Random } from './simple-shuffle.ts';

const FIRST_MS = 100;
const LONGEST_MS = 2000;

/**
 * How long to wait before an attempt at a deployment that has just failed: by chance, up to a limit that doubles from
 * 100 ms to 2 s ("full jitter"), so that clients that failed together do not come back together.
 *
 * @param failures how many attempts have failed, at least 1
 */
export function backoffMs(failures: number, random: Random): number {
  return random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
}
