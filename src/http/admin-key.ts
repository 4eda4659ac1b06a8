import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../config/secret.ts';
import { GatewayError } from '../errors.ts';
import type { GatewayRequest } from '../wire/message.ts';
import { pathOf } from './guards.ts';

/** Throws unless a request below `/admin` may pass. */
export type AdminGuard = (req: GatewayRequest) => void;

/** True for `/admin` and everything below it. Express routes ignore case, so this does. */
export function isAdminPath(path: string): boolean {
  return /^\/admin(?:\/|$)/i.test(path);
}

/**
 * The guard of `/admin`. Without a key nothing there exists: not for anybody, and no error tells otherwise.
 *
 * @throws GatewayError `not_found` when no key is configured, `authentication_error` without the right one
 */
export function createAdminGuard(key: Secret | null): AdminGuard {
  if (key === null) {
    return (req) => {
      throw notFound(req);
    };
  }
  const expected = digest(key.reveal());
  return (req) => {
    const given = /^Bearer +([^ ].*)$/i.exec(req.headers.authorization ?? '')?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return;
    throw new GatewayError(
      'authentication_error',
      'The admin key is missing or wrong: expected "Authorization: Bearer <LLMROUTER_ADMIN_KEY>"',
    );
  };
}

/** The answer to a path that nobody serves. */
export function notFound(req: GatewayRequest): GatewayError {
  return new GatewayError('not_found', `No route for ${req.method} ${pathOf(req.url ?? '/')}`);
}

/** Digests have one length, which `timingSafeEqual` needs, and tell nothing about the key's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
