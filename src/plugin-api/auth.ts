/** Who a request comes from. Frozen once an auth provider has returned it, and visible to every later phase. */
export interface Identity {
  /** Stable name of the caller, for logs and per-caller limits. Never a secret. */
  readonly id: string;
  /** Models that the caller may use. Left out: all. */
  readonly models?: readonly string[];
  /** Tools that the caller may see and call; `*` in a name stands for any characters. Left out: all. */
  readonly tools?: readonly string[];
  /** Free-form rights, for example `admin:keys`. */
  readonly scopes?: readonly string[];
  readonly [claim: string]: unknown;
}

/** What an auth provider sees of a request. Frozen. */
export interface AuthRequest {
  /** The request id, as in `x-request-id`. */
  readonly id: string;
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  /** Path with the query, as the client sent it. */
  readonly url: string;
  /** Names in lower case, as in Node's `req.headers`. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Address of the peer. */
  readonly ip: string;
  /** One header, whatever the case of `name`, as Express's `req.get`. */
  get(name: string): string | undefined;
}

/**
 * Tells who a request comes from. Several providers are asked in load order and the first identity wins; when all
 * say `null` the client gets a 401. A provider that fails lets nobody in: 503 `auth_unavailable`.
 *
 * @example
 * ```ts
 * import { createHash } from 'node:crypto';
 *
 * // SHA-256 of each key: neither this file nor the time of a look-up tells what the keys are.
 * const owners = new Map([['2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683', 'team-a']]);
 * app.authProvider({
 *   name: 'keys',
 *   authenticate(request) {
 *     const key = request.get('authorization')?.replace(/^Bearer /, '') ?? '';
 *     const id = owners.get(createHash('sha256').update(key).digest('hex'));
 *     return id === undefined ? null : { id, models: ['gpt-4o-mini'] };
 *   },
 * });
 * ```
 */
export interface AuthProvider {
  readonly name: string;
  /** An identity, `null` ("not mine"), or a thrown error with `status` 401 or 403. */
  authenticate(request: AuthRequest): Identity | null | Promise<Identity | null>;
}
