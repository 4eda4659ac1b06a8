import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { GatewayError } from 'routeiq-gateway/plugin';
import type { IssuerKeys } from './issuer-keys.ts';

export interface TokenVerifierOptions {
  readonly keys: IssuerKeys;
  readonly issuer: string;
  readonly audience: readonly string[];
  /** Asymmetric ones alone: with a public key as the secret of an HMAC anybody could sign. */
  readonly algorithms: readonly string[];
  readonly clockToleranceSeconds: number;
}

/** Verifies tokens of one issuer. */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
  }

  /**
   * The claims of a token; `null` for what is no token of this issuer.
   *
   * @throws GatewayError `authentication_error` when the token is not good; whatever fetching the keys throws
   */
  async verify(token: string): Promise<JWTPayload | null> {
    const { keys, issuer, audience, algorithms, clockToleranceSeconds } = this.#options;
    if (issuerOf(token) !== issuer) return null;
    if (!algorithms.includes(decodeProtectedHeader(token).alg ?? ''))
      throw invalid('its algorithm is refused');
    const keySet = await keys.get();
    try {
      const { payload } = await jwtVerify(token, keySet, {
        issuer,
        audience: [...audience],
        algorithms: [...algorithms],
        clockTolerance: clockToleranceSeconds,
        requiredClaims: ['exp'],
      });
      return payload;
    } catch (error) {
      const reason = reasonOf(error);
      throw reason === null ? error : invalid(reason, error);
    }
  }
}

/** Read without a check, only to see whose token it is. `null` for what is no signed token. */
function issuerOf(token: string): string | null {
  try {
    decodeProtectedHeader(token);
    return decodeJwt(token).iss ?? null;
  } catch {
    return null;
  }
}

/** What is wrong about a token, for its owner; `null` when it is not the token that failed. */
function reasonOf(error: unknown): string | null {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} is not accepted`;
  if (error instanceof errors.JWKSNoMatchingKey) return 'it is signed with an unknown key';
  const isToken =
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported;
  return isToken ? 'its signature is not good' : null;
}

/** The challenge is that of RFC 6750, section 3. */
function invalid(reason: string, cause?: unknown): GatewayError {
  return new GatewayError('authentication_error', `The token is not accepted: ${reason}`, {
    headers: { 'www-authenticate': `Bearer error="invalid_token", error_description="${reason}"` },
    cause,
  });
}
