import { GatewayError } from '../errors.ts';
import { sendJson } from '../wire/error-response.ts';
import type { GatewayRequest } from '../wire/message.ts';
import type { ServedResponse } from './messages.ts';
import type { Surface } from './stats.ts';
import type { HttpServerDeps, PluginControl } from './types.ts';

/** Serves one request. A rejection is answered by the caller. */
export type Handler = (req: GatewayRequest, res: ServedResponse) => Promise<void> | void;

/** A path that the gateway serves itself. */
export interface OwnPath {
  readonly surface: Surface;
  readonly handler: Handler;
}

/** The gateway's own open paths, looked up before anything else is asked. See README.md, "Paths". */
export function createOwnPaths(
  deps: Pick<HttpServerDeps, 'plugins' | 'metrics'>,
  isDraining: () => boolean,
): ReadonlyMap<string, OwnPath> {
  const handlers: [string, Handler][] = [
    ['/healthz', health],
    ['/readyz', (_req, res) => ready(deps.plugins, isDraining, res)],
    ['/metrics', (_req, res) => metrics(deps.metrics, res)],
  ];
  return new Map(handlers.map(([path, handler]) => [path, { surface: 'own', handler: readOnly(handler) }]));
}

/** GET and HEAD only, and never from a cache. */
export function readOnly(handler: Handler): Handler {
  return (req, res) => {
    allow(req, res, ['GET', 'HEAD']);
    res.setHeader('cache-control', 'no-store');
    return handler(req, res);
  };
}

/** @throws GatewayError `method_not_allowed`, with the header `Allow` set */
export function allow(req: GatewayRequest, res: ServedResponse, methods: readonly string[]): void {
  if (methods.includes(req.method ?? '')) return;
  res.setHeader('allow', methods.join(', '));
  throw new GatewayError(
    'method_not_allowed',
    `${req.method} is not allowed here: expected ${methods.join(' or ')}`,
  );
}

function health(_req: GatewayRequest, res: ServedResponse): void {
  sendJson(res, 200, { status: 'ok' });
}

async function ready(plugins: PluginControl, isDraining: () => boolean, res: ServedResponse): Promise<void> {
  const reported = await plugins.readiness();
  const readiness = isDraining() ? { ...reported, status: 'draining' } : reported;
  sendJson(res, readiness.status === 'ready' ? 200 : 503, readiness);
}

async function metrics(render: HttpServerDeps['metrics'], res: ServedResponse): Promise<void> {
  const { contentType, body } = await render();
  res.setHeader('content-type', contentType);
  res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
}
