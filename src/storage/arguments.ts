import type { StorageOptions } from '../plugin-api/storage.ts';
import { nameType } from './canonical-json.ts';

/**
 * A key is any well-formed text. A lone surrogate has no UTF-8, so that stores would quietly make one key of several.
 *
 * @throws TypeError
 */
export function checkKey(key: unknown, what: 'key' | 'prefix' = 'key'): asserts key is string {
  if (typeof key !== 'string') throw new TypeError(`${what}: expected a string, saw ${nameType(key)}`);
  if (!key.isWellFormed()) throw new TypeError(`${what}: expected well-formed Unicode, saw a lone surrogate`);
}

/** @throws TypeError */
export function checkAmount(by: unknown): asserts by is number {
  if (typeof by !== 'number' || !Number.isFinite(by)) {
    throw new TypeError(`increment: expected a finite number, saw ${nameType(by)}`);
  }
}

/**
 * The time to live in milliseconds, `null` for ever. A time that is told in any other way (a bare number, `ttl`) is
 * refused: what was to expire would stay for ever.
 *
 * @throws TypeError
 */
export function checkTtl(options: StorageOptions | undefined): number | null {
  if (options === undefined) return null;
  const ttlMs = ttlOf(options);
  if (ttlMs === undefined) return null;
  if (typeof ttlMs !== 'number' || !Number.isFinite(ttlMs) || ttlMs <= 0) {
    throw new TypeError(`ttlMs: expected a number of milliseconds above 0, saw ${describeTtl(ttlMs)}`);
  }
  return ttlMs;
}

function ttlOf(options: unknown): unknown {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options: expected { ttlMs: milliseconds }, saw ${nameType(options)}`);
  }
  const stranger = Object.keys(options).find((name) => name !== 'ttlMs');
  if (stranger !== undefined) {
    throw new TypeError(`options: expected { ttlMs: milliseconds }, saw the option "${stranger}"`);
  }
  return 'ttlMs' in options ? options.ttlMs : undefined;
}

function describeTtl(ttlMs: unknown): string {
  return typeof ttlMs === 'number' ? String(ttlMs) : nameType(ttlMs);
}
