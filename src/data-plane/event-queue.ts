import type { Call } from './call.ts';
import type { UpstreamFailure } from './upstream/failure.ts';
import type { AnswerHeaders } from './upstream/headers.ts';
import type { EventSink } from './upstream/outcome.ts';

/** Bytes that may wait for those who work on them before the upstream is held up. */
const MAX_WAITING_BYTES = 64 * 1024;

/**
 * A stream that hooks and evaluators work on: they take what has come when they are ready for it, and an upstream that
 * is faster waits.
 */
export class EventQueue implements EventSink {
  status = 0;
  headers: AnswerHeaders = {};
  #reads: Buffer[] = [];
  #waitingBytes = 0;
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
    this.#reads.push(events);
    this.#waitingBytes += events.length;
    this.#wake?.();
    return this.#waitingBytes < MAX_WAITING_BYTES;
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

  /**
   * All that has come since, as it was read; waits until there is something. `null` at the end.
   *
   * @throws UpstreamFailure of a stream that broke, once all before has been taken
   */
  async take(): Promise<readonly Buffer[] | null> {
    if (this.#reads.length === 0 && !this.#ended) await this.#more();
    if (this.#reads.length > 0) return this.#takeReads();
    if (this.#failure !== null) throw this.#failure;
    return null;
  }

  #takeReads(): readonly Buffer[] {
    const reads = this.#reads;
    const wasFull = this.#waitingBytes >= MAX_WAITING_BYTES;
    this.#reads = [];
    this.#waitingBytes = 0;
    if (wasFull) this.#call.resumeUpstream();
    return reads;
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = null;
  }
}
