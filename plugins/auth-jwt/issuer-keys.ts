import { createRemoteJWKSet, customFetch, type RemoteJWKSet } from 'jose';
import type { PluginContext } from 'routeiq-gateway/plugin';

export interface IssuerKeysOptions {
  readonly issuer: string;
  /** `undefined`: from the issuer's discovery document. */
  readonly jwksUri: string | undefined;
  /** After a fetch, a key that is not known causes no other for so long. */
  readonly cooldownMs: number;
  /** `context.fetch`: under the outbound policy. */
  readonly fetch: PluginContext['fetch'];
}

const TIMEOUT_MS = 5000;

/**
 * The keys of the issuer. They are fetched when the first token comes, again after ten minutes, and when a token names
 * a key that is not among them.
 */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #found: Promise<RemoteJWKSet> | null = null;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    requireTls(options.issuer, 'issuer');
    if (options.jwksUri !== undefined) requireTls(options.jwksUri, 'jwks_uri');
  }

  /** Finds out where the keys are, once. A failure is forgotten: the issuer may be back for the next token. */
  async get(): Promise<RemoteJWKSet> {
    this.#found ??= this.#find();
    try {
      return await this.#found;
    } catch (error) {
      this.#found = null;
      throw error;
    }
  }

  async #find(): Promise<RemoteJWKSet> {
    const { jwksUri = await this.#discover(), cooldownMs, fetch } = this.#options;
    return createRemoteJWKSet(new URL(jwksUri), {
      timeoutDuration: TIMEOUT_MS,
      cooldownDuration: cooldownMs,
      [customFetch]: (url, options) => fetch(url, options),
    });
  }

  /** Source: OpenID Connect Discovery 1.0, sections 4.1 and 4.3. */
  async #discover(): Promise<string> {
    const { issuer, fetch } = this.#options;
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.status !== 200) throw new Error(`${url} answered ${response.status}, expected 200`);
    const found = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown } | null;
    if (found?.issuer !== issuer) throw new Error(`${url} is not of the issuer ${issuer}`);
    if (typeof found.jwks_uri !== 'string') throw new Error(`${url} has no jwks_uri`);
    requireTls(found.jwks_uri, 'jwks_uri');
    return found.jwks_uri;
  }
}

/** Whoever can change the keys on their way can sign any token. Within one machine nobody is in between. */
function requireTls(url: string, what: string): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname)) return;
  throw new Error(`${what}: got ${url}, expected https`);
}
