import type { LlmSurface, LlmUsage } from './llm.ts';
import type { StorageValue } from './storage.ts';

/** Who a request comes from. Frozen once an auth provider has returned it, and visible to every later phase. */
export interface Identity {
  /** Stable name of the caller, for logs and per-caller limits. Never a secret. */
  readonly id: string;
  /** Models that the caller may use. Left out: all. */
  readonly models?: readonly string[];
  /** Tools that the caller may see and call; `*` in a name stands for any characters. Left out: all. */
  readonly tools?: readonly string[];
  /** Free-form rights for plugins to ask about, for example `reports:read`. None of them opens `/admin`. */
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
  /**
   * An identity, `null` ("not mine"), or a thrown error with `status` 401 or 403. Its `headers` may name the challenge,
   * `www-authenticate`.
   */
  authenticate(request: AuthRequest): Identity | null | Promise<Identity | null>;
  /**
   * Sets aside what an LLM call may use at most, for callers with a limit. Asked for identities that this provider has
   * given, when all other phases have agreed to the call and it is about to go to an upstream; not for answers that a
   * hook gives. `null`: nothing to account for. An error with `status` 429 or 403 refuses the call; its `headers` may
   * have `retry-after` and `x-ratelimit-*`. A provider that fails here stops the call: 503 `auth_unavailable`.
   * Comes with {@link settle}.
   */
  reserve?(estimate: UsageEstimate): Reservation | null | Promise<Reservation | null>;
  /**
   * Tells what became of a reservation, when the call is over. The client has its answer by then. Called once for each
   * reservation, unless the process dies.
   */
  settle?(ticket: StorageValue, outcome: UsageOutcome): void | Promise<void>;
}

/** What an LLM call may use at most. */
export interface UsageEstimate {
  /** The request id, as in `x-request-id`. */
  readonly id: string;
  readonly surface: LlmSurface;
  readonly model: string;
  readonly identity: Identity;
  /** Length of the request's body in bytes. */
  readonly inputBytes: number;
  /** Tokens of all answers together, as the request limits them; `null` when it does not. */
  readonly maxOutputTokens: number | null;
  /** USD, that of the dearest deployment that may answer, fallbacks included; `null` when one has no price. */
  readonly inputCostPerToken: number | null;
  readonly outputCostPerToken: number | null;
}

/** What has been set aside. */
export interface Reservation {
  /** What `settle` gets back. */
  readonly ticket: StorageValue;
  /** For the answer: `x-ratelimit-*`, `retry-after`. Others are left out. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a call has used in the end. */
export interface UsageOutcome {
  /** False: no upstream has answered, nothing was used. */
  readonly answered: boolean;
  /** `null` when nobody knows: the stream broke, the client left, the upstream does not tell. */
  readonly usage: LlmUsage | null;
  /** USD; `null` when the usage or the price is not known. */
  readonly costUsd: number | null;
}
