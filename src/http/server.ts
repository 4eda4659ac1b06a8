import { createServer, type Server, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServerConfig } from '../config/types.ts';
import { ConfigError, GatewayError } from '../errors.ts';
import { sendError } from '../wire/error-response.ts';
import { type AccessLog, createAccessLog } from './access-log.ts';
import { createApp } from './app.ts';
import { Connections, HTTP_TIMEOUTS } from './connections.ts';
import { Dispatcher } from './dispatch.ts';
import { createMessageClasses, type MessageClasses } from './messages.ts';
import { createProtocolErrors, type ProtocolErrors } from './protocol-errors.ts';
import { RequestIds } from './request-id.ts';
import { securityHeaders } from './security-headers.ts';
import { HttpStats } from './stats.ts';
import type { HttpServer, HttpServerDeps, HttpTimeouts } from './types.ts';

/** Bytes of a request's target and header fields together. */
const MAX_HEADER_BYTES = 16_384;
/** Past it Node refuses the request as one with too large a header. */
const MAX_HEADERS = 100;

type GatewayServer = Server<MessageClasses['IncomingMessage'], MessageClasses['ServerResponse']>;

/**
 * The gateway's HTTP surface: its own paths, the admin API, and the way of every other request through the pipeline.
 *
 * @example
 * ```ts
 * const http = createHttpServer(deps);
 * const { port } = await http.listen();
 * process.once('SIGTERM', async () => {
 *   const { cut } = await http.drain(config.server.drainTimeoutMs);
 * });
 * ```
 */
export function createHttpServer(deps: HttpServerDeps): HttpServer {
  const timeouts: HttpTimeouts = { ...HTTP_TIMEOUTS, ...deps.timeouts };
  let drained: Promise<{ cut: number }> | null = null;
  const isDraining = (): boolean => drained !== null;

  const stats = new HttpStats();
  const constants = securityHeaders();
  const { dataPlane, debug } = deps;
  const connections = new Connections(timeouts);
  const { keepAliveMs } = timeouts;
  const head = { constants, stats, connections, keepAliveMs, dataPlane, debug, draining: isDraining };
  const server: GatewayServer = createServer(
    serverOptions(createMessageClasses(createApp(), head), timeouts),
  );
  server.maxHeadersCount = MAX_HEADERS;

  server.on('connection', (socket) => connections.add(socket));
  const ids = new RequestIds();
  serveRequests(server, connections, new Dispatcher(deps, ids, isDraining), createAccessLog(deps.log));
  refuseTheRest(server, ids, createProtocolErrors(connections, constants, stats));

  return {
    stats,
    async listen() {
      const port = await listen(server, deps.server);
      server.on('error', (error) => deps.log.error('server error', { cause: error.message }));
      sweepRegularly(server, connections, timeouts.checkMs);
      return { port };
    },
    settled: () => connections.settled(),
    drain(timeoutMs) {
      drained ??= drain(server, connections, timeoutMs);
      return drained;
    },
  };
}

function serveRequests(
  server: GatewayServer,
  connections: Connections,
  dispatcher: Dispatcher,
  logAccess: AccessLog | null,
): void {
  server.on('request', (req, res) => {
    // What follows a connection's last request is thrown away with the rest of its body.
    if (connections.isClosing(req.socket)) return;
    connections.begin(req, res);
    logAccess?.(req, res);
    dispatcher.dispatch(req, res);
  });
}

/** What Node would answer without a body or not at all. */
function refuseTheRest(server: GatewayServer, ids: RequestIds, protocolErrors: ProtocolErrors): void {
  server.on('clientError', (error, socket) => protocolErrors.refuse(error, socket));
  server.on('connect', (_req, socket) => protocolErrors.refuseConnect(socket));
  server.on('checkExpectation', (req, res) => {
    req.receivedAt = performance.now();
    req.id = ids.of(req.headers['x-request-id']);
    const message = 'The only expectation that can be met is "100-continue"';
    sendError(res, new GatewayError('invalid_request', message, { status: 417 }));
  });
}

function serverOptions(
  messages: MessageClasses,
  timeouts: HttpTimeouts,
): ServerOptions<MessageClasses['IncomingMessage'], MessageClasses['ServerResponse']> {
  return {
    ...messages,
    maxHeaderSize: MAX_HEADER_BYTES,
    insecureHTTPParser: false,
    // The guards answer a missing Host themselves, in the error shape of everything else.
    requireHostHeader: false,
    headersTimeout: timeouts.headersMs,
    // Bodies are measured by `Connections`: this one would cut honest uploads over thin lines.
    requestTimeout: 0,
    // Idle connections are found by `Connections` too: Node would set a timer behind each answer, and clear it again.
    keepAliveTimeout: 0,
    connectionsCheckingInterval: timeouts.checkMs,
  };
}

function listen(server: GatewayServer, { host, port }: ServerConfig): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(toConfigError(error, host, port));
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function toConfigError(error: NodeJS.ErrnoException, host: string, port: number): ConfigError {
  return new ConfigError([explain(error.code, host, port)], { cause: error });
}

function explain(code: string | undefined, host: string, port: number): string {
  switch (code) {
    case 'EADDRINUSE':
      return `PORT: ${port} is taken on LLMROUTER_HOST ${host}, expected a free port (0 picks one)`;
    case 'EACCES':
      return `PORT: ${port} needs rights that this process does not have, expected a port from 1024 on`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `LLMROUTER_HOST: ${host} is not an address of this machine (${code}), expected for example 127.0.0.1 or 0.0.0.0`;
    default:
      return `PORT, LLMROUTER_HOST: cannot listen on ${host}:${port} (${code}), expected an address that is free`;
  }
}

function sweepRegularly(server: GatewayServer, connections: Connections, everyMs: number): void {
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    // When this process itself was held up, no client is to blame.
    connections.sweep(Math.min(now - last, 2 * everyMs));
    last = now;
  }, everyMs);
  timer.unref();
  server.once('close', () => clearInterval(timer));
}

/** `server.close` alone would wait for clients that are connected and say nothing, and for kept-alive connections. */
function drain(server: GatewayServer, connections: Connections, timeoutMs: number): Promise<{ cut: number }> {
  return new Promise((resolve) => {
    let cut = 0;
    const timer = setTimeout(() => {
      cut = connections.cut();
    }, timeoutMs);
    // Called with an error when the server did not listen; then there is nothing to wait for either.
    server.close(() => {
      clearTimeout(timer);
      resolve({ cut });
    });
    connections.closeWhenIdle();
  });
}
