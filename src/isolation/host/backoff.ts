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

  /** Another one each time it is asked for: between half of the longest wait after so many deaths, and all of it. */
  nextMs(): number {
    if (this.#deaths === 0) return 0;
    return Math.min(LONGEST_MS, FIRST_MS * 2 ** (this.#deaths - 1)) * (0.5 + Math.random() / 2);
  }

  async wait(): Promise<void> {
    const ms = this.nextMs();
    if (ms > 0) await delay(ms, undefined, { ref: false });
  }
}
