import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { EndOfTurn } from '../../src/end-of-turn.ts';
import { Http1Client } from '../../src/http1/client.ts';
import { requestHead } from '../../src/http1/request-head.ts';
import type {
  BodyLender,
  ResponseController,
  ResponseHandler,
  ResponseHeaders,
} from '../../src/http1/types.ts';

/** What became of one request. */
export interface Outcome {
  readonly status: number | null;
  readonly headers: ResponseHeaders;
  readonly body: Buffer;
  readonly error: (Error & { readonly code?: string }) | null;
}

/** What a test does while the response comes. */
export interface Reactions {
  readonly onStart?: (controller: ResponseController) => void;
  readonly onHead?: (controller: ResponseController) => void;
  readonly onData?: (controller: ResponseController, chunk: Buffer) => void;
  readonly onEnd?: () => void;
}

/** Gathers a response, and fails when it hears anything behind the end. */
export class Gatherer implements ResponseHandler {
  readonly outcome: Promise<Outcome>;
  /** What has been heard, in turn. */
  readonly calls: string[] = [];
  /** The controls of the exchange, once it has begun. */
  controller: ResponseController | null = null;
  readonly #settle: (outcome: Outcome) => void;
  readonly #reactions: Reactions;
  readonly #pieces: Buffer[] = [];
  #status: number | null = null;
  #headers: ResponseHeaders = {};

  constructor(reactions: Reactions = {}) {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.outcome = promise;
    this.#settle = resolve;
    this.#reactions = reactions;
  }

  onRequestStart(controller: ResponseController): void {
    this.calls.push('start');
    this.controller = controller;
    this.#reactions.onStart?.(controller);
  }

  onResponseStart(controller: ResponseController, status: number, headers: ResponseHeaders): void {
    this.calls.push('head');
    this.#status = status;
    this.#headers = headers;
    this.#reactions.onHead?.(controller);
  }

  onResponseData(controller: ResponseController, chunk: Buffer): void {
    this.calls.push('data');
    this.#pieces.push(chunk);
    this.#reactions.onData?.(controller, chunk);
  }

  onResponseEnd(): void {
    this.calls.push('end');
    this.#reactions.onEnd?.();
    this.#over(null);
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.calls.push('error');
    this.#over(error);
  }

  #over(error: Error | null): void {
    const body = Buffer.concat(this.#pieces);
    this.#settle({ status: this.#status, headers: this.#headers, body, error });
  }
}

export interface Asked {
  readonly body?: Buffer;
  readonly headers?: readonly string[];
  readonly idleMs?: number;
  readonly lender?: BodyLender;
}

/** Sends a request to `/ask`; the handler hears of it. */
export function dispatch(client: Http1Client, handler: ResponseHandler, asked: Asked = {}): void {
  const { body = Buffer.from('{}'), headers = [], idleMs = 5_000, lender = null } = asked;
  client.dispatch({ head: requestHead('/ask', 'upstream.test', []), headers, body, idleMs, lender }, handler);
}

/** Sends a request and waits for what becomes of it. */
export function ask(client: Http1Client, asked: Asked = {}, reactions: Reactions = {}): Promise<Outcome> {
  const handler = new Gatherer(reactions);
  dispatch(client, handler, asked);
  return handler.outcome;
}

/** A client that is closed with its test. */
export function clientOf(t: TestContext, origin: string, keepAliveMs = 30_000): Http1Client {
  const endOfTurn = new EndOfTurn();
  const client = new Http1Client(new URL(origin), { connectTimeoutMs: 5_000, keepAliveMs, endOfTurn });
  t.after(() => client.close());
  return client;
}

/** One request as a scripted server sees it: the bytes of its body are not looked at. */
export interface Served {
  readonly socket: Socket;
  /** Of the connection, from 0. */
  readonly connection: number;
  /** On any connection, from 0. */
  readonly request: number;
}

export interface ScriptedServer {
  readonly origin: string;
  /** How many connections there have been. */
  readonly connections: () => number;
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>;
}

/** Calls `serve` whenever a whole request with a body of JSON has come. What it writes is up to it. */
export async function startServer(t: TestContext, serve: (served: Served) => void): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let requests = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = connections++;
    let text = '';
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!isWhole(text)) return;
      text = '';
      serve({ socket, connection, request: requests++ });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, connections: () => connections, sockets };
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? '0';
  return end !== -1 && text.length === end + 4 + Number(length);
}

/** A response with a length. */
export function sized(body: string, ...lines: readonly string[]): string {
  return `${['HTTP/1.1 200 OK', ...lines, `Content-Length: ${body.length}`].join('\r\n')}\r\n\r\n${body}`;
}
