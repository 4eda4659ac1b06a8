import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import type { GatewayRequest, GatewayResponse } from '../wire/message.ts';

/**
 * The Express application: settings and prototypes. Plugins' handlers find it as `req.app`; the gateway itself calls
 * their routers straight, since everything that `app.handle` would do has been done when the request was made.
 */
export function createApp(): Express {
  const app = express();
  app.disable('x-powered-by');
  // Who a client is, is told by the connection: behind a proxy an operator's plugin may set this.
  app.set('trust proxy', false);
  app.set('query parser', 'simple');
  app.set('env', 'production');
  return app;
}

/**
 * Runs an Express handler. Resolves when it calls `next()`, rejects with what it throws or hands to `next`. When it
 * answers instead, the promise stays pending: nothing is left to be done, and it goes the way of the request.
 */
export function runHandler(
  handler: RequestHandler,
  req: GatewayRequest,
  res: GatewayResponse,
): Promise<void> {
  enterExpress(req, res);
  return new Promise((resolve, reject) => {
    const next = (error?: unknown): void =>
      error === undefined || error === null ? resolve() : reject(error);
    // Express's methods are on the prototypes of these classes (`messages.ts`), which no type can show.
    const returned: unknown = handler(req as unknown as Request, res as unknown as Response, next);
    if (returned instanceof Promise) returned.catch(reject);
  });
}

/** The fields that `app.handle` sets on a request, once. */
interface ExpressFields {
  res?: unknown;
  baseUrl?: string;
  originalUrl?: string;
}

function enterExpress(
  req: GatewayRequest & ExpressFields,
  res: GatewayResponse & { locals?: unknown },
): void {
  if (req.res !== undefined) return;
  req.res = res;
  req.baseUrl = '';
  req.originalUrl = req.url ?? '/';
  res.locals = Object.create(null);
}
