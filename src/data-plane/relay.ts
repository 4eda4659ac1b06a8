import type { Call } from './call.ts';
import { DONE, parseEvents } from './sse.ts';
import type { UpstreamFailure } from './upstream/failure.ts';
import { type AnswerHeaders, toClientHeaders } from './upstream/headers.ts';
import type { EventSink } from './upstream/outcome.ts';

/**
 * The fast path of a stream, of events or of bytes: what the upstream sends is written to the client as it comes, one
 * write for each read.
 */
export class Relay implements EventSink {
  /** Resolves when the stream is over; to the failure, if it broke. */
  readonly finished: Promise<UpstreamFailure | null>;
  readonly #settle: (failure: UpstreamFailure | null) => void;
  readonly #call: Call;
  #last: Buffer | null = null;

  constructor(call: Call) {
    const { promise, resolve } = Promise.withResolvers<UpstreamFailure | null>();
    this.finished = promise;
    this.#settle = resolve;
    this.#call = call;
  }

  open(status: number, headers: AnswerHeaders): void {
    const { answer, surface } = this.#call;
    if (surface.stream !== null) answer.openStream(status, toClientHeaders(headers), surface.stream.framing);
    else answer.openBytes(status, toClientHeaders(headers), lengthOf(headers));
  }

  write(events: Buffer): boolean {
    this.#last = events;
    return this.#call.answer.write(events);
  }

  end(events: Buffer): void {
    this.#call.answer.end(events);
    if (this.#call.pipeline.export !== null) this.#readUsage(events);
    this.#settle(null);
  }

  fail(failure: UpstreamFailure): void {
    this.#settle(failure);
  }

  stop(): void {
    this.#settle(null);
  }

  /** Usage stands in the last event that carries something: in the last read, or in the one before. */
  #readUsage(events: Buffer): void {
    const { stream } = this.#call.surface;
    if (stream === null) return;
    const tail = this.#last === null ? events : Buffer.concat([this.#last, events]);
    const data = parseEvents(tail).findLast((event) => event.data !== null && event.data !== DONE)?.data;
    if (data == null || !data.includes('"usage"')) return;
    try {
      this.#call.usage = stream.usageOf(JSON.parse(data) as Readonly<Record<string, unknown>>);
    } catch {
      // The client has had its answer: a record without usage is all that this costs.
    }
  }
}

/** The length of an answer that passes through unchanged, so that the client sees how much is to come. */
function lengthOf(headers: AnswerHeaders): string | null {
  const length = headers['content-length'];
  return typeof length === 'string' && /^\d+$/.test(length) ? length : null;
}
