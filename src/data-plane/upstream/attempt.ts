import type { Deadline, Deadlines } from '../../deadlines.ts';
import type { ResponseController } from '../../http1/types.ts';
import { isJsonType, mediaType } from '../../wire/headers.ts';
import { brokenDataAt, EventCutter, MAX_EVENT_BYTES } from '../sse.ts';
import type { StreamShape, Surface } from '../surface/surface.ts';
import {
  fromErrorStatus,
  MAX_ERROR_BYTES,
  timedOut,
  type UpstreamFailure,
  unreachable,
  unusable,
} from './failure.ts';
import type { AnswerHeaders } from './headers.ts';
import { isVouchedFor, toJsonAnswer } from './json-answer.ts';
import type { Load } from './load.ts';
import type { AttemptOutcome, EventSink } from './outcome.ts';
import type { Redact } from './redact.ts';
import { failureAtStart } from './stream-failure.ts';
import type { AttemptDeadlines } from './timeouts.ts';
import type { AnswerHandler } from './upstream.ts';

/** Bytes of an answer that is put together in memory: JSON, and streams that are held back. */
export const MAX_WHOLE_BYTES: number = 64 * 1024 * 1024;

export interface AttemptOptions {
  /** The deployment's id, for messages. */
  readonly deployment: string;
  readonly redact: Redact;
  /** What forms the answer may have, and what ends a stream. */
  readonly surface: Surface;
  readonly deadlines: AttemptDeadlines;
  /** Shared by all attempts. */
  readonly timers: Deadlines;
  /** Counts the attempt while it runs. */
  readonly load: Load;
  /** How often a client that waits for the first event of a stream hears that it is not forgotten. Milliseconds. */
  readonly keepAliveMs: number;
  /** `null`: a streamed answer is held back and comes as a whole. */
  readonly sink: EventSink | null;
}

type Phase = 'waiting' | 'json' | 'held' | 'streaming' | 'bytes' | 'error' | 'over';

/**
 * One try at one deployment: takes an upstream's answer as it comes and decides what it is. It is the handler that
 * the HTTP client writes to, so that bytes go from socket to socket without a stream or a promise in between; one object per
 * try, always of one shape.
 */
export class Attempt implements AnswerHandler {
  readonly outcome: Promise<AttemptOutcome>;
  readonly #settle: (outcome: AttemptOutcome) => void;
  readonly #deployment: string;
  readonly #redact: Redact;
  readonly #surface: Surface;
  readonly #sink: EventSink | null;
  readonly #deadlines: AttemptDeadlines;
  readonly #timers: Deadlines;
  readonly #load: Load;
  readonly #keepAliveMs: number;
  /** HTTP status of the upstream, `null` while none has come. */
  status: number | null = null;
  /** `performance.now()` at the head of the answer, `null` before it. */
  firstByteAt: number | null = null;
  /** `performance.now()` at the first piece of an answer that comes in pieces, `null` before it. */
  firstTokenAt: number | null = null;
  /** The one for all that has to happen in time. */
  #deadline: Deadline;
  /** `performance.now()` at which the attempt has failed. */
  #dueAt: number;
  #phase: Phase = 'waiting';
  #controller: ResponseController | null = null;
  #headers: AnswerHeaders = {};
  #chunks: Buffer[] = [];
  #length = 0;
  #cutter: EventCutter | null = null;
  #opened = false;

  constructor(options: AttemptOptions) {
    const { promise, resolve } = Promise.withResolvers<AttemptOutcome>();
    this.outcome = promise;
    this.#settle = resolve;
    this.#deployment = options.deployment;
    this.#redact = options.redact;
    this.#surface = options.surface;
    this.#sink = options.sink;
    this.#deadlines = options.deadlines;
    this.#timers = options.timers;
    this.#load = options.load;
    this.#keepAliveMs = options.keepAliveMs;
    this.#load.inFlight++;
    const { firstMs } = options.deadlines;
    this.#dueAt = performance.now() + firstMs;
    this.#deadline = this.#timers.set(Math.min(firstMs, this.#keepAliveMs), () => this.#tick());
  }

  /** Ends the attempt at once: the client is gone, or a hook has refused the rest of the stream. */
  abort(): void {
    if (this.#phase === 'over') return;
    this.#finish();
    this.#controller?.abort(new Error('aborted by the gateway'));
    if (this.#opened) (this.#sink as EventSink).stop();
    else this.#settle({ kind: 'aborted' });
  }

  /** The sink can take more. */
  resume(): void {
    this.#controller?.resume();
  }

  /** The time is over, or the client wants to hear that it is not. */
  #tick(): void {
    const leftMs = this.#dueAt - performance.now();
    if (leftMs < 1) {
      this.#fail(timedOut(this.#deployment));
      return;
    }
    const isWaiting = this.firstTokenAt === null;
    if (isWaiting && this.#phase === 'streaming') this.#keepAlive();
    const nextMs = isWaiting ? Math.min(leftMs, this.#keepAliveMs) : leftMs;
    this.#deadline = this.#timers.set(nextMs, () => this.#tick());
  }

  onRequestStart(controller: ResponseController): void {
    this.#controller = controller;
    // Ended while the connection was being made: nothing is to be sent any more.
    if (this.#phase === 'over') controller.abort(new Error('aborted by the gateway'));
  }

  onResponseStart(_controller: ResponseController, status: number, headers: AnswerHeaders): void {
    // 1xx: the answer is yet to come.
    if (status < 200 || this.#phase !== 'waiting') return;
    this.status = status;
    this.firstByteAt = performance.now();
    this.#headers = headers;
    if (status >= 300) this.#phase = 'error';
    else this.#startAnswer(headers);
  }

  onResponseData(controller: ResponseController, chunk: Buffer): void {
    if (this.#phase === 'streaming') this.#relay(controller, chunk);
    else if (this.#phase === 'bytes') this.#pass(controller, chunk);
    else if (this.#phase === 'error') this.#collect(chunk, MAX_ERROR_BYTES);
    else if (this.#phase !== 'over') this.#collectWhole(chunk);
    // Nothing is wanted behind the end, and an upstream that goes on sending would never free its connection.
    else controller.abort(new Error('the answer is complete'));
  }

  onResponseEnd(): void {
    if (this.#phase === 'streaming') this.#endStream();
    else if (this.#phase === 'bytes') this.#endBytes();
    else if (this.#phase === 'json') this.#endJson();
    else if (this.#phase === 'held') this.#endHeld();
    else if (this.#phase === 'error') this.#endError();
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#phase === 'over') return;
    if (isTimeout(error)) this.#fail(timedOut(this.#deployment, error));
    else if (this.#phase === 'waiting') this.#fail(unreachable(this.#deployment, error));
    // The status says more than the cut body.
    else if (this.#phase === 'error') this.#endError();
    // Complete with its last event, whatever became of the connection.
    else if (this.#phase === 'held') this.#endHeld();
    else if (!this.#isDone()) this.#fail(this.#unusable('broke off in the middle of its answer', error));
  }

  /** The attempt failed outside of HTTP: a provider of a plugin threw. */
  reject(failure: UpstreamFailure): void {
    this.#fail(failure);
  }

  #startAnswer(headers: AnswerHeaders): void {
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      this.#fail(this.#unusable('answered in a Content-Encoding, although identity was asked for'));
      return;
    }
    const type = mediaType(headers['content-type']);
    const { stream, answer } = this.#surface;
    if (type === 'text/event-stream' && stream !== null) {
      this.#cutter = this.#sink === null ? null : new EventCutter();
      this.#phase = this.#sink === null ? 'held' : 'streaming';
      if (this.#sink === null) this.#extend();
    } else if (isJsonType(type) || (type === '' && answer === 'json')) this.#phase = 'json';
    else if (answer === 'bytes' && type !== 'text/html') this.#startBytes(headers);
    else this.#fail(this.#unusable('answered in a form that was not asked for'));
  }

  /** A body that ends with its connection looks complete wherever it is cut. */
  #startBytes(headers: AnswerHeaders): void {
    if (isVouchedFor(headers)) this.#phase = 'bytes';
    else this.#fail(this.#unusable('answered without saying where its answer ends'));
  }

  #pass(controller: ResponseController, chunk: Buffer): void {
    this.#begin();
    if (!(this.#sink as EventSink).write(chunk)) controller.pause();
  }

  #endBytes(): void {
    this.#begin();
    this.#complete(NOTHING);
  }

  #relay(controller: ResponseController, chunk: Buffer): void {
    const cutter = this.#cutter as EventCutter;
    const events = cutter.push(chunk);
    if (events === null) {
      if (cutter.pendingBytes > MAX_EVENT_BYTES)
        this.#fail(this.#unusable('sent an event that is too large'));
      return;
    }
    const broken = brokenDataAt(events);
    if (broken !== 0) this.#forward(controller, broken === -1 ? events : events.subarray(0, broken));
    if (broken !== -1) this.#fail(this.#unusable('sent an event that is no JSON'));
  }

  #forward(controller: ResponseController, events: Buffer): void {
    if (this.firstTokenAt === null && this.#failsAtStart(events)) return;
    this.#begin();
    const end = this.#endIn(events);
    if (end !== -1) this.#complete(end === events.length ? events : events.subarray(0, end));
    else if (!(this.#sink as EventSink).write(events)) controller.pause();
  }

  /** Nothing has left so far: what begins with an error can still be answered by another attempt. */
  #failsAtStart(events: Buffer): boolean {
    const failure = failureAtStart(this.#deployment, this.#headers, events, this.#redact);
    if (failure !== null) this.#fail(failure);
    return failure !== null;
  }

  /** The first piece is there: from now on only the whole has a deadline, and the HTTP client watches for silence. */
  #begin(): void {
    if (this.firstTokenAt !== null) return;
    this.firstTokenAt = performance.now();
    this.#extend();
    this.#open();
  }

  #extend(): void {
    const { totalMs } = this.#deadlines;
    this.#timers.cancel(this.#deadline);
    this.#dueAt = performance.now() + totalMs;
    this.#deadline = this.#timers.set(totalMs, () => this.#tick());
  }

  /**
   * The upstream has promised a stream and keeps its client waiting. From here on there is no other attempt: a byte has
   * gone out. While not even the head of an answer has come nothing is sent, so that another deployment can still help.
   */
  #keepAlive(): void {
    this.#open();
    (this.#sink as EventSink).write((this.#surface.stream as StreamShape).framing.keepAlive);
  }

  #open(): void {
    if (this.#opened) return;
    (this.#sink as EventSink).open(this.status as number, this.#headers);
    this.#opened = true;
    this.#settle({ kind: 'streaming' });
  }

  #complete(events: Buffer): void {
    this.#finish();
    (this.#sink as EventSink).end(events);
  }

  #endStream(): void {
    if (!this.#isDone()) this.#fail(this.#unusable('ended its stream before it was complete'));
  }

  /** True when all that is missing behind the last event is the blank line; the stream is then complete. */
  #isDone(): boolean {
    const rest = this.#cutter?.rest() ?? null;
    if (this.#phase !== 'streaming' || rest === null) return false;
    const events = Buffer.concat([rest, BLANK_LINE]);
    if (this.#endIn(events) === -1) return false;
    this.#begin();
    this.#complete(events);
    return true;
  }

  #endIn(events: Buffer): number {
    return (this.#surface.stream as StreamShape).framing.endIn(events);
  }

  #collect(chunk: Buffer, limit: number): void {
    if (this.#length >= limit) return;
    this.#length += chunk.length;
    this.#chunks.push(chunk);
  }

  #collectWhole(chunk: Buffer): void {
    this.#collect(chunk, MAX_WHOLE_BYTES);
    if (this.#length >= MAX_WHOLE_BYTES) this.#fail(this.#unusable('sent an answer that is too large'));
  }

  #endJson(): void {
    const answer = toJsonAnswer(this.status as number, this.#headers, this.#takeBody());
    if (answer === null) {
      this.#fail(this.#unusable('answered with something that is no complete JSON object'));
      return;
    }
    this.#finish();
    this.#settle(answer);
  }

  #endHeld(): void {
    const body = Buffer.concat([this.#takeBody(), BLANK_LINE]);
    const end = this.#endIn(body);
    if (end === -1) {
      this.#fail(this.#unusable('ended its stream before it was complete'));
      return;
    }
    if (this.#failsAtStart(body)) return;
    this.#finish();
    this.#settle({
      kind: 'events',
      status: this.status as number,
      headers: this.#headers,
      body: body.subarray(0, end),
    });
  }

  #endError(): void {
    this.#fail(
      fromErrorStatus(this.#deployment, this.status as number, this.#headers, this.#takeBody(), this.#redact),
    );
  }

  #takeBody(): Buffer {
    const [first] = this.#chunks;
    return this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
  }

  #unusable(what: string, cause?: Error): UpstreamFailure {
    return unusable(this.#deployment, what, this.status, cause);
  }

  #fail(failure: UpstreamFailure): void {
    if (this.#phase === 'over') return;
    this.#finish();
    this.#controller?.abort(failure);
    if (this.#opened) (this.#sink as EventSink).fail(failure);
    else this.#settle({ kind: 'failed', failure });
  }

  #finish(): void {
    this.#phase = 'over';
    this.#chunks = [];
    this.#load.inFlight--;
    this.#timers.cancel(this.#deadline);
  }
}

const NOTHING = Buffer.alloc(0);
const BLANK_LINE = Buffer.from('\n\n');

/** The HTTP client's own deadlines: connect, and silence within a body. */
function isTimeout(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return code === 'HTTP1_CONNECT_TIMEOUT' || code === 'HTTP1_IDLE_TIMEOUT';
}
