import { clientErrorStatus, GatewayError, isGatewayError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { AuthRequest, Identity } from '../plugin-api/auth.ts';
import { scopeOf } from '../request-scope.ts';
import { toClientError } from '../wire/error-response.ts';
import { type GatewayRequest, identify } from '../wire/message.ts';
import { pathOf } from './guards.ts';

/**
 * The auth phase: sets `req.identity`, or throws (rejects, when a provider had to wait). Whatever is not an answer of a
 * provider lets nobody in.
 *
 * @throws GatewayError with the 4xx status of the provider's answer; else `auth_unavailable`
 */
export function authenticate(
  auth: NonNullable<Pipeline['auth']>,
  req: GatewayRequest,
): Promise<void> | undefined {
  let identity: unknown;
  try {
    identity = auth(new RequestView(req), scopeOf(req));
  } catch (thrown) {
    throw toAuthError(thrown);
  }
  if (identity instanceof Promise) return authenticateLater(identity, req);
  accept(identity, req);
  return undefined;
}

async function authenticateLater(asked: Promise<unknown>, req: GatewayRequest): Promise<void> {
  let identity: unknown;
  try {
    identity = await asked;
  } catch (thrown) {
    throw toAuthError(thrown);
  }
  accept(identity, req);
}

function accept(identity: unknown, req: GatewayRequest): void {
  if (!isIdentity(identity)) throw unavailable(undefined);
  identify(req, deepFreeze(identity));
}

/**
 * A CORS preflight. Browsers send it without credentials (Fetch standard, heading "CORS-preflight fetch"), so it has
 * to reach the middleware before it is authenticated.
 */
export function isPreflight(req: GatewayRequest): boolean {
  return (
    req.method === 'OPTIONS' &&
    req.headers.origin !== undefined &&
    req.headers['access-control-request-method'] !== undefined
  );
}

/** A provider's frozen view of a request; headers are copied only for those that want all of them. */
class RequestView implements AuthRequest {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly url: string;
  readonly ip: string;
  readonly #source: GatewayRequest;

  constructor(req: GatewayRequest) {
    this.id = req.id;
    this.method = req.method ?? '';
    this.url = req.url ?? '/';
    this.path = pathOf(this.url);
    this.ip = req.socket.remoteAddress ?? '';
    this.#source = req;
    Object.freeze(this);
  }

  get headers(): AuthRequest['headers'] {
    // Without a prototype: `headers.constructor` is a header that was not sent.
    const copy: Record<string, string | string[] | undefined> = Object.create(null);
    return deepFreeze(Object.assign(copy, this.#source.headers));
  }

  get(name: string): string | undefined {
    const key = name.toLowerCase();
    if (!Object.hasOwn(this.#source.headers, key)) return undefined;
    const value = this.#source.headers[key];
    return Array.isArray(value) ? value.join(', ') : value;
  }
}

function isIdentity(value: unknown): value is Identity {
  return typeof value === 'object' && value !== null;
}

function toAuthError(thrown: unknown): GatewayError {
  if (clientErrorStatus(thrown) !== undefined) return toClientError(thrown);
  if (isGatewayError(thrown) && thrown.code === 'auth_unavailable') return thrown;
  return unavailable(thrown);
}

function unavailable(cause: unknown): GatewayError {
  return new GatewayError('auth_unavailable', 'Authentication is unavailable', { cause });
}
