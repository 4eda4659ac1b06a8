import type { Socket } from 'node:net';
import { GatewayError } from '../errors.ts';
import { sendError } from '../wire/error-response.ts';
import type { GatewayRequest } from '../wire/message.ts';
import type { ServedResponse } from './messages.ts';
import type { HttpTimeouts } from './types.ts';

/**
 * No client can hold a connection for ten seconds without using it, although each time-out may be noticed one
 * {@link HttpTimeouts.checkMs} late and its answer is given up to two more to arrive.
 */
export const HTTP_TIMEOUTS: HttpTimeouts = Object.freeze({
  headersMs: 6_000,
  bodyMs: 7_000,
  minBodyBytesPerSecond: 1_024,
  keepAliveMs: 7_000,
  checkMs: 1_000,
});

/** One connection and the last request that came over it. */
interface Connection {
  readonly socket: Socket;
  exchange: Exchange | null;
  /** Milliseconds that the body of this request, the next request, or the end may still be waited for. */
  creditMs: number;
  /** True: the last answer has been written, what the client still sends is thrown away. */
  isClosing: boolean;
  /** `socket.bytesRead` when it was last looked at. */
  bytesRead: number;
}

interface Exchange {
  readonly req: GatewayRequest;
  readonly res: ServedResponse;
}

/**
 * All open connections: who is slow, who is idle, who is still being answered.
 *
 * Node bounds the time for a whole request or not at all. The first would cut an honest upload over a thin line, the
 * second lets a client trickle a body for ever; so bodies are measured here, by one timer for all connections.
 */
export class Connections {
  readonly #timeouts: HttpTimeouts;
  readonly #open: Map<Socket, Connection> = new Map();

  constructor(timeouts: HttpTimeouts) {
    this.#timeouts = timeouts;
  }

  /** A connection has been accepted. */
  add(socket: Socket): void {
    // The first header has Node's own time-out.
    const creditMs = Number.POSITIVE_INFINITY;
    this.#open.set(socket, { socket, exchange: null, creditMs, isClosing: false, bytesRead: 0 });
    socket.once('close', () => this.#open.delete(socket));
  }

  /** A request has come in. */
  begin(req: GatewayRequest, res: ServedResponse): void {
    const connection = this.#open.get(req.socket);
    if (connection === undefined) return;
    connection.exchange = { req, res };
    connection.creditMs = this.#timeouts.bodyMs;
  }

  /** True when bytes of an answer have gone out and more are to come: nothing else may be written. */
  isAnswering(socket: Socket): boolean {
    const exchange = this.#open.get(socket)?.exchange ?? null;
    return exchange?.res.headersSent === true && !exchange.res.writableFinished;
  }

  /**
   * Closes a connection once its client has had time to read the last answer: a socket that is destroyed while the
   * client still sends is reset, and the answer lost with it. Source: RFC 9112, section 9.6.
   */
  closeSoon(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    connection.isClosing = true;
    connection.creditMs = this.#timeouts.checkMs;
  }

  /** The last answer of a connection is out, and its client may still be sending the body that belongs to it. */
  endSoon(req: GatewayRequest): void {
    req.resume();
    req.socket.end();
    this.closeSoon(req.socket);
  }

  /** True after {@link closeSoon}. */
  isClosing(socket: Socket): boolean {
    return this.#open.get(socket)?.isClosing === true;
  }

  /** Charges every unfinished body with the time since the last look, and ends those that have used up their credit. */
  sweep(elapsedMs: number): void {
    for (const connection of this.#open.values()) this.#charge(connection, elapsedMs);
  }

  /** Closes connections without a running request at once, and the others when theirs has been answered. */
  closeWhenIdle(): void {
    for (const { socket, exchange } of this.#open.values()) {
      if (isRunning(exchange)) exchange.res.once('close', () => socket.destroySoon());
      else socket.destroy();
    }
  }

  /**
   * Resolves when all requests that run now have ended. Of several on one connection it waits for the last, whose
   * answer goes out after theirs. Streams of MCP may wait for notifications for ever: their calls are known elsewhere.
   */
  async settled(): Promise<void> {
    const exchanges = [...this.#open.values()].map(({ exchange }) => exchange);
    const running = exchanges
      .filter(isRunning)
      .filter(({ res }) => res.surface !== 'mcp' || !res.headersSent);
    await Promise.all(running.map(({ res }) => new Promise((resolve) => res.once('close', resolve))));
  }

  /** Destroys all connections. Returns how many of them were still being answered. */
  cut(): number {
    let cut = 0;
    for (const { socket, exchange } of this.#open.values()) {
      if (isRunning(exchange)) cut += 1;
      socket.destroy();
    }
    return cut;
  }

  #charge(connection: Connection, elapsedMs: number): void {
    const { exchange, socket } = connection;
    if (connection.isClosing || exchange === null) {
      connection.creditMs -= elapsedMs;
      if (connection.creditMs <= 0) socket.destroy();
      return;
    }
    if (exchange.req.complete) {
      if (!isRunning(exchange)) this.#idle(connection);
      return;
    }
    const progress = socket.bytesRead - connection.bytesRead;
    connection.bytesRead = socket.bytesRead;
    if (isReaderBehind(exchange.req)) return;
    connection.creditMs = Math.min(
      this.#timeouts.bodyMs,
      connection.creditMs - elapsedMs + this.#earned(exchange, progress),
    );
    if (connection.creditMs <= 0) endSlowBody(exchange);
  }

  /**
   * Between two requests. Node's own time-out would cost a timer per request, and starts afresh with every byte: a
   * client that sends nothing but empty lines, which the parser skips, would be held for ever. The last request should
   * not stay in memory either.
   */
  #idle(connection: Connection): void {
    connection.exchange = null;
    connection.creditMs = this.#timeouts.keepAliveMs + this.#timeouts.checkMs;
  }

  /** What comes after the answer is thrown away, and earns nothing. */
  #earned({ res }: Exchange, bytes: number): number {
    return res.writableEnded ? 0 : (bytes / this.#timeouts.minBodyBytesPerSecond) * 1_000;
  }
}

function isRunning(exchange: Exchange | null): exchange is Exchange {
  return exchange !== null && !exchange.res.writableFinished && !exchange.res.destroyed;
}

/** Back-pressure: the client would send, but whoever reads the body does not take it. */
function isReaderBehind(req: GatewayRequest): boolean {
  return req.readableLength >= req.readableHighWaterMark;
}

/** The answer goes out at the first look, the connection ends at the next. */
function endSlowBody({ req, res }: Exchange): void {
  if (res.headersSent) {
    req.socket.destroy();
    return;
  }
  sendError(res, new GatewayError('invalid_request', 'The request body came too slowly', { status: 408 }));
}
