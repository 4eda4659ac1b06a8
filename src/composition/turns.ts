/**
 * Lets work that changes all plugins wait for its turn: alone, after what began before it. Work on single plugins may
 * go on side by side, but not while all are being changed.
 */
export class Turns {
  readonly #shared = new Set<Promise<unknown>>();
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when nothing else runs. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const before = [this.#last, ...this.#shared];
    const turn = Promise.allSettled(before).then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Runs `work` beside other shared work. */
  shared<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#shared.add(turn);
    const end = (): void => void this.#shared.delete(turn);
    turn.then(end, end);
    return turn;
  }
}
