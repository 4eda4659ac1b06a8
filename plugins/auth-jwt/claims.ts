import type { JWTPayload } from 'jose';
import { GatewayError, type Identity } from 'routeiq-gateway/plugin';

/** What the claims are called. */
export interface ClaimNames {
  readonly id: string;
  readonly scopes: string;
  /** `undefined`: the caller may use all. */
  readonly models: string | undefined;
  readonly tools: string | undefined;
}

/**
 * The caller that a verified token speaks of. A claim that should limit the caller and is not there allows nothing.
 *
 * @throws GatewayError `authentication_error` when the token does not name its caller
 */
export function toIdentity(claims: JWTPayload, names: ClaimNames): Identity {
  const id = claimOf(claims, names.id);
  if (typeof id !== 'string' || id === '') {
    throw new GatewayError('authentication_error', `The token is not accepted: it has no claim ${names.id}`);
  }
  return {
    id,
    issuer: claims.iss,
    scopes: listOf(claimOf(claims, names.scopes)),
    ...(names.models === undefined ? {} : { models: listOf(claimOf(claims, names.models)) }),
    ...(names.tools === undefined ? {} : { tools: listOf(claimOf(claims, names.tools)) }),
  };
}

/** By its own name (`https://example.com/models`), else by its path (`realm_access.roles`). */
function claimOf(claims: JWTPayload, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[step];
  }
  return value;
}

/** A list, or names with blanks between them (RFC 8693, section 4.2). */
function listOf(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((name) => name !== '');
  if (!Array.isArray(claim)) return [];
  return claim.filter((name) => typeof name === 'string');
}
