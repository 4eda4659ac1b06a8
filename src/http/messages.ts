import { randomUUID } from 'node:crypto';
import { type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import express, { type Express } from 'express';
import { requestTarget } from '../wire/dialect.ts';
import { addCallHeaders, DEPLOYMENT_HEADER, NO_DEPLOYMENT } from '../wire/headers.ts';
import { GatewayRequest, GatewayResponse } from '../wire/message.ts';
import type { Connections } from './connections.ts';
import { pathOf } from './guards.ts';
import type { ConstantHeaders, HeadFields } from './security-headers.ts';
import type { HttpStats, Surface } from './stats.ts';
import type { DataPlane } from './types.ts';

/** A response, and which part of the gateway it comes from. */
export class ServedResponse extends GatewayResponse {
  surface: Surface = 'refused';
}

/** What every head is made with. */
export interface HeadContext {
  readonly constants: ConstantHeaders;
  readonly stats: HttpStats;
  readonly connections: Connections;
  /** How long a client may leave its connection unused, as told in `Keep-Alive`. Milliseconds. */
  readonly keepAliveMs: number;
  /** Tells which answers have to tell of a call. */
  readonly dataPlane: DataPlane;
  /** True: `Server-Timing` on every answer. */
  readonly debug: boolean;
  /** True from the moment the gateway stops: every answer is its connection's last. */
  readonly draining: () => boolean;
}

/** For `http.createServer`. */
export interface MessageClasses {
  readonly IncomingMessage: typeof GatewayRequest;
  readonly ServerResponse: typeof ServedResponse;
}

interface Internals {
  /** `OutgoingMessage` writes every head through this one method: the place where the status is final. */
  _storeHeader(firstLine: string, fields: HeadFields): void;
  /** Set by it: Node destroys the connection once the answer is out. */
  _last: boolean;
  /** Milliseconds; what `Keep-Alive: timeout` says in seconds. */
  _keepAliveTimeout: number;
}
const { _storeHeader: storeHeader } = ServerResponse.prototype as unknown as Internals;

/**
 * One server's own message classes. Express's prototypes are part of them, so that Express changes no request's
 * prototype (V8 gives up on objects whose prototype changes: that alone is 60 % of Express's cost). They are made per
 * server, because `req.app` is found on the prototype and two gateways may share a process.
 *
 * The response adds the constant headers and the request id as text when its head is written. A handler that sets one
 * of the constant headers itself wins; the request id is the gateway's own and always wins over `setHeader`.
 */
export function createMessageClasses(app: Express, context: HeadContext): MessageClasses {
  class ServerRequest extends GatewayRequest {}

  class Response extends ServedResponse {
    _storeHeader(firstLine: string, fields: HeadFields): void {
      context.stats.count(this.surface, this.req.method, this.statusCode);
      if (context.draining()) this.shouldKeepAlive = false;
      (this as unknown as Internals)._keepAliveTimeout = context.keepAliveMs;
      if (this.hasHeader('x-request-id')) this.removeHeader('x-request-id');
      const lines = ownLines(context, this.req) + callLines(context, this.req, fields);
      storeHeader.call(this, firstLine + lines + context.constants.beside(fields), fields);
      if (!this.shouldKeepAlive) closeGently(context.connections, this);
    }
  }

  graft(ServerRequest.prototype, express.request, app);
  graft(Response.prototype, express.response, app);
  Object.assign(app, { request: ServerRequest.prototype, response: Response.prototype });
  return { IncomingMessage: ServerRequest, ServerResponse: Response };
}

function ownLines(context: HeadContext, req: GatewayRequest): string {
  const id = `X-Request-Id: ${req.id === '' ? randomUUID() : req.id}\r\n`;
  if (!context.debug) return id;
  const { timeline } = req;
  timeline?.mark('answer');
  const total = `gateway;dur=${(performance.now() - req.receivedAt).toFixed(2)}`;
  return `${id}Server-Timing: ${timeline === null ? total : `${total}, ${timeline.toServerTiming()}`}\r\n`;
}

/**
 * Node would destroy the socket: a client that still sends its body would see a reset in place of the answer. Runs
 * before Node's own listener, and leaves a request that is complete to it.
 */
function closeGently(connections: Connections, res: ServedResponse): void {
  res.prependOnceListener('finish', () => {
    if (res.req.complete) return;
    (res as unknown as Internals)._last = false;
    connections.endSoon(res.req);
  });
}

/** For a request that was meant for the data plane and was answered, or refused, on its way there. */
function callLines({ dataPlane }: HeadContext, req: GatewayRequest, fields: HeadFields): string {
  if (fields !== null && fields !== undefined && DEPLOYMENT_HEADER in fields) return '';
  if (dataPlane.find(req.method ?? '', pathOf(requestTarget(req))) === null) return '';
  const headers: OutgoingHttpHeaders = {};
  addCallHeaders(headers, NO_DEPLOYMENT, 0, performance.now() - req.receivedAt);
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}

/** Copies Express's methods, so that neither its shared prototypes nor ours are changed for others. */
function graft(prototype: object, methods: object, app: Express): void {
  Object.defineProperties(prototype, Object.getOwnPropertyDescriptors(methods));
  Object.defineProperty(prototype, 'app', { value: app, configurable: true, writable: true });
}
