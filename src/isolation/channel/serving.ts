/** What a served call is told besides its parameters. */
export interface ServedCall {
  /** Aborted when the caller gives up. Made when it is read: most calls are over before anybody would give up. */
  readonly signal: AbortSignal;
  /** Runs `listener` when the caller gives up, without a signal. */
  whenGivenUp(listener: () => void): void;
  /** Tells the caller something before the result is there. */
  emit(event: string, value: unknown): void;
}

/** A call of the other end while it is served. */
export class Serving implements ServedCall {
  readonly emit: ServedCall['emit'];
  #controller: AbortController | null = null;
  #listener: (() => void) | null = null;
  #reason: Error | null = null;

  constructor(emit: ServedCall['emit']) {
    this.emit = emit;
  }

  get isGivenUp(): boolean {
    return this.#reason !== null;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  whenGivenUp(listener: () => void): void {
    if (this.#reason === null) this.#listener = listener;
    else listener();
  }

  giveUp(reason: Error): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.#listener?.();
  }
}
