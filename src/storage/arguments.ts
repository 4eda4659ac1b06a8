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
 * The time to live in milliseconds, `null` for ever.
 *
 * @throws TypeError
 */
export function checkTtl(options: StorageOptions | undefined): number | null {
  const ttlMs: unknown = options?.ttlMs;
  if (ttlMs === undefined) return null;
  if (typeof ttlMs !== 'number' || !Number.isFinite(ttlMs) || ttlMs <= 0) {
    throw new TypeError(`ttlMs: expected a number of milliseconds above 0, saw ${describeTtl(ttlMs)}`);
  }
  return ttlMs;
}

function describeTtl(ttlMs: unknown): string {
  return typeof ttlMs === 'number' ? String(ttlMs) : nameType(ttlMs);
}
