import type { OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { EndOfTurn, TurnTask } from '../end-of-turn.ts';
import { type GatewayError, toErrorBody } from '../errors.ts';
import type { UpstreamSaid } from '../wire/dialect.ts';
import { sendError, setAdvice } from '../wire/error-response.ts';
import { addCallHeaders, NO_DEPLOYMENT } from '../wire/headers.ts';
import { type GatewayRequest, GatewayResponse } from '../wire/message.ts';
import type { Timeline } from '../wire/timeline.ts';
import type { StreamFraming } from './framing.ts';

/** The status that call records give to a client that hung up before its answer. */
export const CLIENT_GONE_STATUS = 499;

const PLAIN_END = GatewayResponse.prototype.end;

/** What an upstream has said of its error. */
export interface ErrorDetails extends UpstreamSaid {
  readonly retryAfter?: string | null;
}

/** Who has to know what becomes of the client. */
export interface AnswerListener {
  /** The client has taken what was written, and more may come. */
  onDrain(): void;
  /** The client has hung up before the answer was complete. */
  onGone(): void;
}

/**
 * The client's side of one call: writes the answer's head with the gateway's own headers, and keeps the account of
 * whose time was spent. Headers that the server has set already stay.
 */
export class ClientAnswer implements TurnTask {
  readonly #res: GatewayResponse;
  readonly #endOfTurn: EndOfTurn;
  readonly #arrivedAt: number;
  readonly #timeline: Timeline | null;
  #waitingSince = -1;
  #waitedMs = 0;
  #drained: (() => void) | null = null;
  #hearsDrain = false;
  /** What a middleware that holds bytes back (npm's `compression`) has put there to let them go. */
  #flush: (() => void) | null = null;
  /**
   * Whose answer it is. No functions that are assigned here: V8 allocates a function literal that is assigned to a
   * property among the old objects at once, and all that it sees then outlives every collection of the young ones.
   */
  listener: AnswerListener | null = null;
  /** The client has hung up. */
  gone: boolean;
  /** The id of the deployment that was tried last. */
  deployment: string = NO_DEPLOYMENT;
  attempts = 0;
  /** That of the answer's event stream whose head is out. */
  #framing: StreamFraming | null = null;
  /** The answer is bytes of which some may be out. */
  #isBytes = false;
  /** The answer's body, while it waits for the end of the turn. */
  #text: string | null = null;
  /** The connection, while what was written to a stream waits for the end of the turn. */
  #held: Socket | null = null;
  /** Milliseconds from arrival to the first byte of the answer, `null` before it. */
  firstByteMs: number | null = null;

  constructor(req: GatewayRequest, res: GatewayResponse, endOfTurn: EndOfTurn) {
    this.#res = res;
    this.#endOfTurn = endOfTurn;
    this.#arrivedAt = req.receivedAt;
    this.#timeline = req.timeline;
    this.gone = res.destroyed;
    res.on('close', () => this.#closed());
  }

  get status(): number {
    return this.gone && !this.#res.headersSent ? CLIENT_GONE_STATUS : this.#res.statusCode;
  }

  /** For the client: {@link attempts}, and those of what came before. */
  protected get attemptsInAll(): number {
    return this.attempts;
  }

  /** Milliseconds since the request arrived. */
  elapsedMs(): number {
    return performance.now() - this.#arrivedAt;
  }

  /** From here until {@link endWait} it is others who take the time: the client's upload, the upstream, a back-off. */
  beginWait(): void {
    this.#waitingSince = performance.now();
  }

  endWait(): void {
    if (this.#waitingSince === -1) return;
    const ms = performance.now() - this.#waitingSince;
    this.#waitedMs += ms;
    this.#waitingSince = -1;
    this.#timeline?.wait(ms);
  }

  /** What a plugin has to say beside the answer, whatever that will be; see {@link setAdvice}. */
  advise(headers: Readonly<Record<string, string>>): void {
    if (!this.#res.headersSent) setAdvice(this.#res, headers);
  }

  /**
   * The whole answer, in one write when there is a text of it.
   *
   * @param latin1 the body with each byte as a character of its own
   */
  json(status: number, headers: OutgoingHttpHeaders, body: Buffer, latin1: string | null = null): void {
    if (this.gone) return;
    headers['content-length'] = body.length;
    headers['content-type'] ??= 'application/json';
    this.#writeHead(status, headers);
    // Node sends a head and a text of one-byte characters in one write, and a head and a buffer in two. A middleware
    // that has put its own `end` there gets the bytes as they are.
    if (latin1 !== null && this.#res.end === PLAIN_END) {
      this.#text = latin1;
      this.#endOfTurn.add(this);
    } else this.#res.end(body);
  }

  onEndOfTurn(): void {
    const text = this.#text;
    this.#text = null;
    if (text !== null && !this.#res.destroyed) this.#endWith(text);
    this.#held?.uncork();
    this.#held = null;
  }

  /** A plugin may have patched the response so that it throws: no answer then, rather than a wrong one. */
  #endWith(text: string): void {
    try {
      this.#res.end(text, 'latin1');
    } catch {
      this.#res.destroy();
    }
  }

  openStream(status: number, headers: OutgoingHttpHeaders, framing: StreamFraming): void {
    if (this.gone) return;
    headers['content-type'] = 'text/event-stream; charset=utf-8';
    headers['cache-control'] ??= 'no-cache';
    this.#openPieces(status, headers);
    this.#framing = framing;
  }

  /** @param length the value for `Content-Length`, `null` when it is not known */
  openBytes(status: number, headers: OutgoingHttpHeaders, length: string | null): void {
    if (this.gone) return;
    headers['content-type'] ??= 'application/octet-stream';
    if (length !== null) headers['content-length'] = length;
    this.#openPieces(status, headers);
    this.#isBytes = true;
  }

  /** @returns false when the client is slower than the upstream: nothing more until {@link AnswerListener.onDrain} */
  write(events: Buffer): boolean {
    if (this.#isOver()) return true;
    this.#hold();
    const more = this.#res.write(events);
    this.#flush?.();
    if (!more) this.#hearDrain();
    return more;
  }

  /** Writes, and waits until more may be written. Resolves as well when the client is gone. */
  async send(events: Buffer): Promise<void> {
    if (this.write(events)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    await promise;
  }

  end(events: Buffer): void {
    if (!this.#isOver()) this.#res.end(events);
  }

  /**
   * Answers with an error; in a stream that has begun, with an error event and nothing behind it. Bytes that have begun
   * are cut, so that nobody takes a part of them for the whole.
   */
  error(error: GatewayError, details: ErrorDetails = {}): void {
    if (this.#isOver()) return;
    if (this.#framing !== null) {
      const body = details.body ?? toErrorBody(error);
      this.#res.end(this.#framing.encodeError(body, error.status, this.#res.req.id));
      return;
    }
    if (this.#isBytes) {
      this.#res.destroy();
      return;
    }
    if (details.retryAfter != null) this.#res.setHeader('retry-after', details.retryAfter);
    this.endWait();
    const own: OutgoingHttpHeaders = {};
    this.#addOwnHeaders(own, this.elapsedMs());
    for (const [name, value] of Object.entries(own)) this.#res.setHeader(name, value as string);
    sendError(this.#res, error, details);
  }

  /** What is written to a stream in this turn leaves at its end, in one piece. */
  #hold(): void {
    const { socket } = this.#res;
    if (this.#held !== null || socket === null) return;
    this.#held = socket;
    socket.cork();
    this.#endOfTurn.add(this);
  }

  /** Nobody reads any more, or a middleware has ended the answer: a write would be an `error` event. */
  #isOver(): boolean {
    return this.gone || this.#text !== null || this.#res.writableEnded;
  }

  #openPieces(status: number, headers: OutgoingHttpHeaders): void {
    // nginx would collect the pieces of a stream into one.
    headers['x-accel-buffering'] = 'no';
    this.#writeHead(status, headers);
    const { flush } = this.#res as { flush?: unknown };
    if (typeof flush === 'function') this.#flush = flush.bind(this.#res);
  }

  #writeHead(status: number, headers: OutgoingHttpHeaders): void {
    this.endWait();
    this.firstByteMs = this.elapsedMs();
    this.#addOwnHeaders(headers, this.firstByteMs);
    this.#res.writeHead(status, headers);
  }

  #addOwnHeaders(headers: OutgoingHttpHeaders, elapsedMs: number): void {
    addCallHeaders(headers, this.deployment, this.attemptsInAll, elapsedMs - this.#waitedMs);
  }

  /** Most answers never need to. */
  #hearDrain(): void {
    if (this.#hearsDrain) return;
    this.#hearsDrain = true;
    this.#res.on('drain', () => this.#drain());
  }

  #drain(): void {
    this.listener?.onDrain();
    this.#wake();
  }

  #closed(): void {
    if (this.#res.writableFinished) return;
    this.gone = true;
    this.listener?.onGone();
    this.#wake();
  }

  #wake(): void {
    this.#drained?.();
    this.#drained = null;
  }
}
