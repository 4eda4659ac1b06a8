import type { Socket } from 'node:net';
import type { Deadline, Deadlines } from '../deadlines.ts';
import type { EndOfTurn, TurnTask } from '../end-of-turn.ts';
import type { OnRead } from './connector.ts';
import { Http1Error } from './errors.ts';
import type { Carrier, Exchange } from './exchange.ts';
import type { ResponseHead } from './response-head.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';

/** Up to there head and body go out as one text; past it, copying a body costs more than a second piece. */
const MAX_TEXT_BYTES = 16_384;
/** An upstream that names a time closes then: a request that is sent just before would be lost. */
const KEEP_ALIVE_MARGIN_MS = 2_000;
const MAX_KEEP_ALIVE_MS = 600_000;

/** Whoever hands out connections. */
export interface ConnectionOwner {
  /** How long an unused connection is kept when the other side does not say. Milliseconds. */
  readonly keepAliveMs: number;
  /** Shared by all connections. */
  readonly deadlines: Deadlines;
  /** When requests are written. */
  readonly endOfTurn: EndOfTurn;
  /** The response is complete, and the connection could take another request. */
  onFree(connection: Connection): void;
  onClosed(connection: Connection): void;
}

/** One connection: an exchange at a time, from the first byte of the request to the last one of the response. */
export class Connection implements ResponseSink, Carrier, TurnTask {
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #parser: ResponseParser = new ResponseParser(this);
  #exchange: Exchange | null = null;
  #hasHead = false;
  #keepsAlive = false;
  /** How long the other side keeps the connection once the response is over. Milliseconds. */
  #keptMs = 0;
  #isPaused = false;
  /** The silence that is watched for. Milliseconds. */
  #idleMs = 0;
  #silence: Deadline | null = null;
  /** `performance.now()` at the last sign of life. */
  #heardAt = 0;
  #error: Error | null = null;
  /** `performance.now()` from which on it should not be used any more. */
  expiresAt: number = Number.POSITIVE_INFINITY;

  constructor(open: (onRead: OnRead) => Socket, owner: ConnectionOwner) {
    this.#owner = owner;
    this.#socket = open((bytes, length) => this.#read(bytes, length));
    this.#socket
      .on('end', () => this.#ended())
      .on('error', (error) => {
        this.#error = error;
      })
      .on('close', () => this.#closed());
  }

  get isClosed(): boolean {
    return this.#socket.destroyed || this.#socket.readableEnded;
  }

  /** Sends a request. The last one's response has to be complete. */
  send(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#hasHead = false;
    exchange.carrier = this;
    this.#parser.begin();
    this.#watch(exchange.idleMs);
    this.#owner.endOfTurn.add(this);
  }

  onEndOfTurn(): void {
    const exchange = this.#exchange;
    // It has been given up since, and the connection with it.
    if (exchange === null) return;
    if (exchange.length <= MAX_TEXT_BYTES) this.#writeText(exchange);
    else this.#writePieces(exchange);
  }

  #writeText({ head, body }: Exchange): void {
    let text = head;
    for (const piece of body) text += piece.toString('latin1');
    this.#socket.write(text, 'latin1');
  }

  #writePieces({ head, body }: Exchange): void {
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    for (const piece of body) this.#socket.write(piece);
    this.#socket.uncork();
  }

  onHead({ status, headers, keepsAlive }: ResponseHead): void {
    const exchange = this.#exchange as Exchange;
    this.#hasHead = true;
    this.#keptMs = keepAliveOf(headers['keep-alive']) ?? this.#owner.keepAliveMs;
    this.#keepsAlive = keepsAlive && this.#keptMs > 0;
    exchange.handler.onResponseStart(exchange, status, headers);
  }

  onBody(bytes: Buffer): void {
    // The rest of a read may come behind an abort.
    const exchange = this.#exchange;
    exchange?.handler.onResponseData(exchange, bytes);
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
    // While nothing was read, silence was ours: it counts from here.
    this.#heardAt = performance.now();
  }

  drop(): void {
    this.#release();
    this.#socket.destroy();
  }

  /** @returns resolves when the socket is closed */
  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#socket.closed) resolve();
    else this.#socket.once('close', () => resolve());
    this.#socket.destroy();
    return promise;
  }

  #read(bytes: Buffer, length: number): void {
    const exchange = this.#exchange;
    if (exchange === null) {
      // Nobody has asked: the next request would take it for its response.
      this.#socket.destroy();
      return;
    }
    this.#heardAt = performance.now();
    try {
      const taken = this.#parser.push(bytes, length);
      if (this.#exchange === exchange && this.#parser.isOver) this.#complete(exchange, taken === length);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** @param isClean nothing has come behind the response */
  #complete(exchange: Exchange, isClean: boolean): void {
    this.#release();
    // A response may come before the whole request has gone: the rest of it would be read as the next one.
    const isSent = this.#socket.writableLength === 0;
    if (this.#keepsAlive && isClean && isSent && !this.isClosed) this.#free();
    else this.#socket.destroy();
    if (isSent) exchange.lender?.onSent();
    tellEnd(exchange);
  }

  #free(): void {
    if (this.#isPaused) this.resume();
    // Counted from the end: a stream may take longer than an unused connection is kept.
    this.expiresAt = performance.now() + this.#keptMs;
    this.#owner.onFree(this);
  }

  #ended(): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (this.#parser.end()) this.#complete(exchange, false);
    else this.#fail(new Http1Error('HTTP1_CLOSED', 'The connection ended before the response was complete'));
  }

  #closed(): void {
    this.#lookIn(null);
    this.#fail(this.#error ?? new Http1Error('HTTP1_CLOSED', 'The connection was closed'));
    this.#owner.onClosed(this);
  }

  /**
   * Socket.setTimeout would move a timer with every read and write. This one is left alone, and looks at how long ago
   * the last read was.
   */
  #watch(idleMs: number): void {
    this.#heardAt = performance.now();
    if (idleMs === this.#idleMs && this.#silence !== null) return;
    this.#idleMs = idleMs;
    this.#lookIn(idleMs);
  }

  /** @param ms `null`: no more */
  #lookIn(ms: number | null): void {
    const { deadlines } = this.#owner;
    if (this.#silence !== null) deadlines.cancel(this.#silence);
    this.#silence = ms === null ? null : deadlines.set(ms, () => this.#look());
  }

  /** The time is over if nothing has been heard meanwhile. */
  #look(): void {
    this.#silence = null;
    // The next request begins anew.
    if (this.#exchange === null) return;
    // The time until a response begins is for the caller to measure.
    const isWatched = this.#hasHead && !this.#isPaused;
    const leftMs = isWatched ? this.#heardAt + this.#idleMs - performance.now() : this.#idleMs;
    if (leftMs >= 1) this.#lookIn(leftMs);
    else this.#fail(new Http1Error('HTTP1_IDLE_TIMEOUT', `The response was silent for ${this.#idleMs} ms`));
  }

  #fail(error: Error): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    this.drop();
    exchange.handler.onResponseError(exchange, error);
  }

  #release(): void {
    if (this.#exchange !== null) this.#exchange.carrier = null;
    this.#exchange = null;
  }
}

/** A handler that fails at the end has failed like one that fails before it. */
function tellEnd(exchange: Exchange): void {
  try {
    exchange.handler.onResponseEnd(exchange);
  } catch (error) {
    exchange.handler.onResponseError(exchange, error as Error);
  }
}

/** How long the other side keeps an unused connection (`Keep-Alive: timeout=5`), `null` when it does not say. */
function keepAliveOf(value: string | string[] | undefined): number | null {
  if (value === undefined) return null;
  const seconds = /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,6})/i.exec(String(value))?.[1];
  if (seconds === undefined) return null;
  return Math.min(Number(seconds) * 1_000 - KEEP_ALIVE_MARGIN_MS, MAX_KEEP_ALIVE_MS);
}
