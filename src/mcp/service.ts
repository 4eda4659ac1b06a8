import { randomUUID } from 'node:crypto';
import { toWebRequest } from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  isLegacyRequest,
  type McpHttpHandler,
  type Server,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import type { Logger } from 'winston';
import type { Pipeline } from '../pipeline/types.ts';
import { scopeOf } from '../request-scope.ts';
import { readVersion } from '../version.ts';
import type { GatewayRequest, GatewayResponse } from '../wire/message.ts';
import { Caller } from './caller.ts';
import type { McpEndpoint, McpOptions } from './endpoint.ts';
import { SESSION_LIMITS, Sessions } from './sessions.ts';
import { createToolServer } from './tool-server.ts';
import { sendWebResponse } from './web-response.ts';

/** What {@link McpEndpoint} loads with its first request. */
export type McpService = McpEndpoint;

/** The SDK put to work. */
export function createMcpService(options: McpOptions): McpService {
  return new Service(options);
}

/** A session of a client that speaks a revision with sessions (up to 2025-11-25). */
interface Conversation {
  readonly server: Server;
  readonly transport: WebStandardStreamableHTTPServerTransport;
  close(): void;
}

/**
 * Serves both eras of MCP: revision 2026-07-28 knows no sessions, each request stands for itself; the revisions before
 * it open a session with `initialize`.
 */
class Service implements McpService {
  readonly #options: McpOptions;
  readonly #log: Logger;
  readonly #version: string = readVersion();
  readonly #modern: McpHttpHandler;
  readonly #sessions: Sessions<Conversation>;
  /** Answers of tool calls that are still to be sent. */
  readonly #calls = new Set<Promise<void>>();

  constructor(options: McpOptions) {
    const { sessions, limits, bodyLimit, log, clock = () => performance.now() } = options;
    const { total: maxSubscriptions } = { ...SESSION_LIMITS, ...limits };
    this.#options = options;
    this.#log = log;
    this.#sessions = new Sessions({ ...SESSION_LIMITS, ...limits }, clock);
    this.#modern = createMcpHandler(() => this.#createServer(), {
      legacy: sessions ? 'reject' : 'stateless',
      maxRequestBodySize: bodyLimit,
      maxSubscriptions,
      onerror: (error) => this.#report(error),
    });
  }

  async handle(req: GatewayRequest, res: GatewayResponse, pipeline: Pipeline): Promise<void> {
    const gone = new AbortController();
    res.once('close', () => gone.abort());
    if (res.closed) gone.abort();
    const caller = new Caller({
      requestId: req.id,
      scope: scopeOf(req),
      identity: req.identity,
      tools: pipeline.tools,
      gone: gone.signal,
      onCall: () => this.#holdFor(gone.signal),
    });
    const request = await this.#toWebRequest(req, gone.signal);
    const response = await this.#answer(request, caller);
    await sendWebResponse(res, response);
  }

  toolsChanged(): void {
    this.#modern.notify.toolsChanged();
    for (const { server } of this.#sessions.conversations) {
      server.sendToolListChanged().catch((error: Error) => this.#report(error));
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#calls);
  }

  async close(): Promise<void> {
    for (const { transport } of this.#sessions.conversations) transport.closeStandaloneSSEStream();
    await Promise.all(this.#calls);
    this.#sessions.closeAll();
    await this.#modern.close();
  }

  #toWebRequest(req: GatewayRequest, signal: AbortSignal): Promise<Request> {
    const { method = 'GET', url = '/', headers } = req;
    const source = { method, url, headers, [Symbol.asyncIterator]: () => req[Symbol.asyncIterator]() };
    return toWebRequest(source, req.body, { signal, maxRequestBodySize: this.#options.bodyLimit });
  }

  async #answer(request: Request, caller: Caller): Promise<Response> {
    const { sessions, bodyLimit } = this.#options;
    const authInfo = caller.toAuthInfo();
    const isLegacy =
      sessions && (await isLegacyRequest(request, undefined, { maxRequestBodySize: bodyLimit }));
    if (!isLegacy) return this.#modern.fetch(request, { authInfo });
    const id = request.headers.get('mcp-session-id');
    const owner = caller.identity?.id ?? null;
    const conversation = id === null ? await this.#begin(owner) : this.#sessions.get(id, owner);
    if (conversation === null) return sessionNotFound();
    if (id !== null) whenOver(caller.gone, this.#sessions.use(id));
    return conversation.transport.handleRequest(request, { authInfo });
  }

  /** A conversation becomes a session once the client has sent a proper `initialize`; any other request is refused. */
  async #begin(owner: string | null): Promise<Conversation> {
    this.#sessions.reserve(owner);
    const server = this.#createServer();
    const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => this.#sessions.add(id, owner, conversation),
      onsessionclosed: (id) => this.#sessions.remove(id),
      maxRequestBodySize: this.#options.bodyLimit,
    });
    const conversation = { server, transport, close: () => void transport.close() };
    await server.connect(transport);
    return conversation;
  }

  #createServer(): Server {
    const server = createToolServer({ version: this.#version, notifies: this.#options.sessions });
    server.onerror = (error) => this.#report(error);
    return server;
  }

  /** When the gateway stops, the answer of a tool that runs is waited for; a stream of notifications is not. */
  #holdFor(over: AbortSignal): void {
    const { promise: sent, resolve } = Promise.withResolvers<void>();
    this.#calls.add(sent);
    whenOver(over, () => {
      this.#calls.delete(sent);
      resolve();
    });
  }

  #report(error: Error): void {
    this.#log.debug('mcp', { cause: error.message });
  }
}

function whenOver(over: AbortSignal, then: () => void): void {
  if (over.aborted) then();
  else over.addEventListener('abort', then, { once: true });
}

/** As for a session that is over: the client begins a new one. Source: the specification, heading "Session Management". */
function sessionNotFound(): Response {
  const error = { code: -32001, message: 'Session not found' };
  return Response.json({ jsonrpc: '2.0', error, id: null }, { status: 404 });
}
