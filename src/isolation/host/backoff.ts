import { setTimeout as delay } from 'node:timers/promises';

const FIRST_MS = 50;
const LONGEST_MS = 5000;
/** Who lived so long did not die of its start. */
const HEALTHY_MS = 10_000;
/** Deaths in a row after which only a call brings a process back. */
const EAGER = 5;

/** How long a process that died is left dead: longer each time, and never at the same time as all others. */
export class Backoff {
  #deaths = 0;

  died(livedMs: number): void {
    this.#deaths = livedMs > HEALTHY_MS ? 1 : this.#deaths + 1;
  }

  /** False: it has died too often for its return not to be asked for. */
  get isWorthTrying(): boolean {
    return this.#deaths <= EAGER;
  }

  async wait(): Promise<void> {
    if (this.#deaths === 0) return;
    const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** (this.#deaths - 1));
    await delay(longest * (0.5 + Math.random() / 2), undefined, { ref: false });
  }
}
