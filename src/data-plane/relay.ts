import type { Call } from './call.ts';
import { DONE, parseEvents } from './sse.ts';
import type { StreamShape } from './surface/surface.ts';
import type { EventSink } from './upstream/attempt.ts';
import type { UpstreamFailure } from './upstream/failure.ts';
import { type AnswerHeaders, toClientHeaders } from './upstream/headers.ts';

/** The fast path of a stream: what the upstream sends is written to the client as it comes, one write for each read. */
export class Relay implements EventSink {
  /** Resolves when the stream is over; to the failure, if it broke. */
  readonly finished: Promise<UpstreamFailure | null>;
  readonly #settle: (failure: UpstreamFailure | null) => void;
  readonly #call: Call;
  readonly #stream: StreamShape;
  #last: Buffer | null = null;

  constructor(call: Call, stream: StreamShape) {
    const { promise, resolve } = Promise.withResolvers<UpstreamFailure | null>();
    this.finished = promise;
    this.#settle = resolve;
    this.#call = call;
    this.#stream = stream;
  }

  open(status: number, headers: AnswerHeaders): void {
    this.#call.answer.openStream(status, toClientHeaders(headers), this.#stream.framing);
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
    const tail = this.#last === null ? events : Buffer.concat([this.#last, events]);
    const data = parseEvents(tail).findLast((event) => event.data !== null && event.data !== DONE)?.data;
    if (data == null || !data.includes('"usage"')) return;
    try {
      this.#call.usage = this.#stream.usageOf(JSON.parse(data) as Readonly<Record<string, unknown>>);
    } catch {
      // The client has had its answer: a record without usage is all that this costs.
    }
  }
}
