import { IncomingMessage, ServerResponse } from 'node:http';
import type { Identity } from '../plugin-api/auth.ts';

/**
 * The server's own request class. It declares every field that the gateway hangs on a request, so that all requests
 * share one shape; `http/app.ts` puts Express's prototype behind it, so that none is set per request.
 */
export class GatewayRequest extends IncomingMessage {
  /** The request id, as in `x-request-id`. */
  id: string = '';
  /** Who asks; `null` before authentication and when no auth provider is loaded. */
  identity: Identity | null = null;
  /** `performance.now()` at arrival. */
  receivedAt: number = 0;
  /** The body as a middleware left it (Express's convention); `undefined` while nobody has read it. */
  declare body: unknown;
}

/** The server's own response class; see {@link GatewayRequest}. */
export class GatewayResponse extends ServerResponse<GatewayRequest> {}
