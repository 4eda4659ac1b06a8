/** What can be stored: JSON. */
export type StorageValue =
  | string
  | number
  | boolean
  | null
  | readonly StorageValue[]
  | { readonly [key: string]: StorageValue };

export interface StorageOptions {
  /** Time to live in milliseconds. Left out: for ever. */
  readonly ttlMs?: number;
}

/**
 * Keys and values with a time to live, shared by all replicas that use one store.
 *
 * @example
 * ```ts
 * app.get('/visits', async (_req, res) => {
 *   const minute = Math.floor(Date.now() / 60_000);
 *   const visits = await context.storage.increment(`visits:${minute}`, 1, { ttlMs: 60_000 });
 *   res.json({ visits });
 * });
 * ```
 */
export interface Storage {
  /** `undefined` when the key is absent or expired. */
  get(key: string): Promise<StorageValue | undefined>;
  set(key: string, value: StorageValue, options?: StorageOptions): Promise<void>;
  /** True when the key was there. */
  delete(key: string): Promise<boolean>;
  /** Adds `by` (default 1) atomically and returns the sum. A new counter starts at 0; only then does `ttlMs` apply. */
  increment(key: string, by?: number, options?: StorageOptions): Promise<number>;
  /** Sets `value` if the current one equals `expected` (`undefined`: absent), atomically. True when it did. */
  compareAndSet(
    key: string,
    expected: StorageValue | undefined,
    value: StorageValue,
    options?: StorageOptions,
  ): Promise<boolean>;
  /** Keys that begin with `prefix` (default: all), sorted by code unit. */
  list(prefix?: string): Promise<readonly string[]>;
}

/**
 * A store that plugins and the gateway use instead of the embedded one. Methods may also answer synchronously. When
 * it fails the caller gets `storage_unavailable`; there is never a silent switch to another store.
 *
 * @example
 * ```ts
 * import type { StorageBackend } from 'routeiq-gateway/plugin';
 *
 * declare function connect(url: string): StorageBackend; // the adapter of a database's driver
 * app.storageBackend(connect(context.settings.get('url', 'redis://127.0.0.1:6379')));
 * ```
 */
export interface StorageBackend {
  /**
   * True: what one replica stores, others see. The gateway then shares more than what plugins store: sticky quarantines
   * hold in all replicas. Default: false.
   */
  readonly shared?: boolean;
  get(key: string): StorageValue | undefined | Promise<StorageValue | undefined>;
  set(key: string, value: StorageValue, options?: StorageOptions): void | Promise<void>;
  delete(key: string): boolean | Promise<boolean>;
  increment(key: string, by?: number, options?: StorageOptions): number | Promise<number>;
  compareAndSet(
    key: string,
    expected: StorageValue | undefined,
    value: StorageValue,
    options?: StorageOptions,
  ): boolean | Promise<boolean>;
  list(prefix?: string): readonly string[] | Promise<readonly string[]>;
  close?(): void | Promise<void>;
}
