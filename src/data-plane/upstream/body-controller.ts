import type { ResponseController } from '../../http1/types.ts';

/** The controls of an answer that does not come over HTTP: it is made by code, and taken piece by piece. */
export class BodyController implements ResponseController {
  paused = false;
  aborted = false;
  reason: Error | null = null;
  #wake: (() => void) | null = null;
  #aborter: AbortController | null = null;

  /** Aborted with the attempt. */
  get signal(): AbortSignal {
    this.#aborter ??= new AbortController();
    return this.#aborter.signal;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#wake?.();
  }

  abort(reason: Error): void {
    this.aborted = true;
    this.reason = reason;
    this.#aborter?.abort(reason);
    this.#wake?.();
  }

  /** Resolves when the body may go on, or will not. */
  resumed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }
}
