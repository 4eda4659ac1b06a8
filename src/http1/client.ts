import { Deadlines } from '../deadlines.ts';
import type { EndOfTurn } from '../end-of-turn.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { Connector } from './connector.ts';
import { Http1Error } from './errors.ts';
import { Exchange } from './exchange.ts';
import { completeHead } from './request-head.ts';
import type { ClientRequest, ResponseHandler } from './types.ts';

/** How often connections that nobody uses are looked for. Milliseconds. */
const SWEEP_MS = 1_000;

export interface ClientOptions {
  /** Milliseconds for a connection, TLS included. */
  readonly connectTimeoutMs: number;
  /** How long an unused connection is kept, unless the other side names a time of its own. Milliseconds. */
  readonly keepAliveMs: number;
  /** Collects what is written to all connections. */
  readonly endOfTurn: EndOfTurn;
}

/**
 * A client of HTTP/1.1 for one origin, for POST requests whose body is in memory. It opens a connection whenever all
 * are busy, so that no stream waits for another, and sends nothing twice.
 *
 * It does less than undici, and no more than a gateway needs: no redirects, no decompression, no pipelining, no
 * streams. A request and its response cost it a third of undici's processor time; docs/performance.md has the figures.
 *
 * @example
 * ```ts
 * const options = { connectTimeoutMs: 10_000, keepAliveMs: 30_000, endOfTurn: new EndOfTurn() };
 * const client = new Http1Client(new URL('https://api.example.com'), options);
 * const head = requestHead('/v1/chat/completions', 'api.example.com', [['content-type', 'application/json']]);
 * client.dispatch({ head, headers: [], body: Buffer.from('{}'), idleMs: 120_000 }, handler);
 * ```
 */
export class Http1Client implements ConnectionOwner {
  readonly keepAliveMs: number;
  readonly endOfTurn: EndOfTurn;
  readonly deadlines: Deadlines = new Deadlines(() => performance.now());
  readonly #connector: Connector;
  readonly #open = new Set<Connection>();
  /** The one used last at the end: those at the beginning grow old. */
  #idle: Connection[] = [];
  /** Free since this turn of the event loop. */
  #resting: Connection[] = [];
  #sweeper: NodeJS.Timeout | null = null;
  #isClosed = false;

  /** @param origin its path is of no interest */
  constructor(origin: URL, { connectTimeoutMs, keepAliveMs, endOfTurn }: ClientOptions) {
    this.keepAliveMs = keepAliveMs;
    this.endOfTurn = endOfTurn;
    this.#connector = new Connector(origin, connectTimeoutMs);
  }

  /**
   * Sends a request; all that becomes of it is told to `handler`.
   *
   * @throws Http1Error `HTTP1_INVALID_REQUEST`, before the handler has heard of it
   */
  dispatch({ head, headers, body, idleMs, lender = null }: ClientRequest, handler: ResponseHandler): void {
    const pieces = Buffer.isBuffer(body) ? [body] : body;
    const length = lengthOf(pieces);
    const text = completeHead(head, headers, length);
    const exchange = new Exchange(text, pieces, length, idleMs, handler, lender);
    handler.onRequestStart(exchange);
    if (exchange.isAborted) return;
    if (this.#isClosed)
      handler.onResponseError(exchange, new Http1Error('HTTP1_CLOSED', 'The client was closed'));
    else (this.#takeIdle() ?? this.#connect()).send(exchange);
  }

  /** Closes all connections. Requests under way fail with `HTTP1_CLOSED`, and so do those that come later. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopSweeping();
    await Promise.all([...this.#open].map((connection) => connection.close()));
  }

  /**
   * A server may close behind its response although it has not said so. That shows within a turn of the event loop,
   * and a request that is sent before would be lost.
   */
  onFree(connection: Connection): void {
    if (this.#resting.length === 0) setImmediate(rest, this);
    this.#resting.push(connection);
  }

  /** Those that were free are idle now. */
  rest(): void {
    this.#idle.push(...this.#resting.filter(({ isClosed }) => !isClosed));
    this.#resting = [];
    if (this.#idle.length > 0) this.#sweeper ??= this.#startSweeping();
  }

  onClosed(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  #takeIdle(): Connection | null {
    const now = performance.now();
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.isClosed && connection.expiresAt > now) return connection;
      connection.drop();
    }
    return null;
  }

  #connect(): Connection {
    const connection = new Connection((onRead) => this.#connector.open(onRead), this);
    this.#open.add(connection);
    return connection;
  }

  #startSweeping(): NodeJS.Timeout {
    return setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  #stopSweeping(): void {
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    this.#sweeper = null;
  }

  #sweep(): void {
    const now = performance.now();
    const [old, young] = partition(this.#idle, ({ expiresAt }) => expiresAt <= now);
    this.#idle = young;
    for (const connection of old) connection.drop();
    if (young.length === 0) this.#stopSweeping();
  }
}

/** A function of its own, so that none is made for every turn. */
function rest(client: Http1Client): void {
  client.rest();
}

function lengthOf(pieces: readonly Buffer[]): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const passed: T[] = [];
  const failed: T[] = [];
  for (const item of items) (test(item) ? passed : failed).push(item);
  return [passed, failed];
}
