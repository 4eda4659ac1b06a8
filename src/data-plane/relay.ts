import { toObserved } from './answer/observed.ts';
import type { Call } from './call.ts';
import { isObject } from './json-value.ts';
import { lastDataWith, parseEvents } from './sse.ts';
import type { StreamShape } from './surface/surface.ts';
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
  /** What has been sent, for those who look at it afterwards; `null`: nobody does. */
  readonly #kept: Buffer[] | null;
  #last: Buffer | null = null;

  constructor(call: Call) {
    const { promise, resolve } = Promise.withResolvers<UpstreamFailure | null>();
    this.finished = promise;
    this.#settle = resolve;
    this.#call = call;
    this.#kept = call.llm.observeOutput === null ? null : [];
  }

  open(status: number, headers: AnswerHeaders): void {
    const { answer, surface } = this.#call;
    if (surface.stream !== null) answer.openStream(status, toClientHeaders(headers), surface.stream.framing);
    else answer.openBytes(status, toClientHeaders(headers), lengthOf(headers));
  }

  write(events: Buffer): boolean {
    const { surface } = this.#call;
    // Not the upstream's: it has no usage to read.
    if (events === surface.stream?.framing.keepAlive) return this.#call.answer.write(events);
    if (this.#last === null) this.#readFirst(events);
    this.#last = events;
    this.#kept?.push(events);
    return this.#call.answer.write(events);
  }

  end(events: Buffer): void {
    this.#call.answer.end(events);
    if (this.#last === null) this.#readFirst(events);
    this.#readLast(events);
    if (this.#kept !== null) this.#observe([...this.#kept, events]);
    this.#settle(null);
  }

  fail(failure: UpstreamFailure): void {
    this.#settle(failure);
  }

  stop(): void {
    this.#settle(null);
  }

  /** The client has its answer: looking at it costs the request nothing. */
  #observe(reads: readonly Buffer[]): void {
    const call = this.#call;
    const { stream } = call.surface;
    if (stream === null) return;
    setImmediate(() => {
      const response = toObserved(call, stream, reads);
      if (response !== null) call.llm.observeOutput?.(call.request, response, call.scope);
    });
  }

  /** Only some dialects count anything in the first event. */
  #readFirst(events: Buffer): void {
    const { stream } = this.#call.surface;
    if (stream?.usageInFirst !== true) return;
    this.#readUsage(stream, parseEvents(events).find(({ data }) => data !== null)?.data);
  }

  /** Usage stands in the last event that speaks of it: in the last read, or in the one before. */
  #readLast(events: Buffer): void {
    const { stream } = this.#call.surface;
    if (stream === null) return;
    const data = lastDataWith('"usage"', events) ?? (this.#last && lastDataWith('"usage"', this.#last));
    this.#readUsage(stream, data);
  }

  #readUsage(stream: StreamShape, data: string | null | undefined): void {
    if (data == null) return;
    try {
      const chunk: unknown = JSON.parse(data);
      if (isObject(chunk)) this.#call.usage = stream.usageOf(chunk, this.#call.usage);
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
