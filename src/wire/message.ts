import { IncomingMessage, ServerResponse } from 'node:http';
import type { Identity } from '../plugin-api/auth.ts';
import type { RequestScope } from '../request-scope.ts';
import type { Timeline } from './timeline.ts';

/** Says who a request comes from: the auth phase's right alone, since `req` itself is in the hands of plugins. */
export let identify: (req: GatewayRequest, identity: Identity) => void;

/**
 * The server's own request class. It declares every field that the gateway hangs on a request, so that all requests
 * share one shape; `http/app.ts` puts Express's prototype behind it, so that none is set per request.
 */
export class GatewayRequest extends IncomingMessage {
  /** The request id, as in `x-request-id`. */
  id: string = '';
  #identity: Identity | null = null;
  /** `performance.now()` at arrival. */
  receivedAt: number = 0;
  /** Where its time goes; `null` when nobody wants to know. */
  timeline: Timeline | null = null;
  /** A middleware has had it in hand, and may hold on to it and to the pieces of its body. */
  isShared: boolean = false;
  /** What calls into plugins know of it; `null` before the first of them can be made. */
  requestScope: RequestScope | null = null;
  /** The body as a middleware left it (Express's convention); `undefined` while nobody has read it. */
  declare body: unknown;

  static {
    identify = (req, identity) => {
      req.#identity = identity;
    };
  }

  /** Who asks; `null` before authentication and when no auth provider is loaded. No handler can change it. */
  get identity(): Identity | null {
    return this.#identity;
  }
}

/** The server's own response class; see {@link GatewayRequest}. */
export class GatewayResponse extends ServerResponse<GatewayRequest> {}
