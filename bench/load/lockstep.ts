/**
 * Has an upstream wait with the next piece of a stream until the client has seen the one before: each piece is one read
 * then, on a machine of whatever speed. For an upstream and one client in one process.
 */
export class Lockstep {
  #expected = 0;
  #goOn: (() => void) | null = null;

  /** Calls `goOn` when the client has seen that many events of its stream. */
  when(events: number, goOn: () => void): void {
    this.#expected = events;
    this.#goOn = goOn;
  }

  /** The client has seen that many. */
  saw(events: number): void {
    if (this.#goOn === null || events < this.#expected) return;
    const goOn = this.#goOn;
    this.#goOn = null;
    goOn();
  }
}
