import type { Call } from './call.ts';
import type { UpstreamFailure } from './upstream/failure.ts';
import type { AnswerHeaders } from './upstream/headers.ts';
import type { EventSink } from './upstream/outcome.ts';

/**
 * A stream that hooks work on: they take its events when they are ready for them, and the upstream waits meanwhile.
 * Iterating throws the {@link UpstreamFailure} of a stream that broke.
 */
export class EventQueue implements EventSink, AsyncIterable<Buffer> {
  status = 0;
  headers: AnswerHeaders = {};
  readonly #events: Buffer[] = [];
  #ended = false;
  #failure: UpstreamFailure | null = null;
  readonly #call: Call;
  #wake: (() => void) | null = null;

  constructor(call: Call) {
    this.#call = call;
  }

  open(status: number, headers: AnswerHeaders): void {
    this.status = status;
    this.headers = headers;
  }

  write(events: Buffer): boolean {
    this.#events.push(events);
    this.#wake?.();
    return false;
  }

  end(events: Buffer): void {
    this.#ended = true;
    this.write(events);
  }

  fail(failure: UpstreamFailure): void {
    this.#failure = failure;
    this.stop();
  }

  /** Nothing more will come. */
  stop(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const events = this.#events.shift();
      if (events !== undefined) yield events;
      else if (this.#ended) break;
      else await this.#more();
    }
    if (this.#failure !== null) throw this.#failure;
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    this.#call.resumeUpstream();
    await promise;
  }
}
