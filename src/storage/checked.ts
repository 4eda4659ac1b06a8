import type { Storage, StorageOptions, StorageValue } from '../plugin-api/storage.ts';
import { checkAmount, checkKey, checkTtl } from './arguments.ts';
import { toCanonicalJson } from './canonical-json.ts';

/**
 * A store whose arguments are checked where they are given: before they cross to another process, which would change
 * what is no JSON, and before a plugin that provides the store is asked, which would be blamed for them.
 *
 * @throws TypeError from every method (as a rejection), for keys, values or times of the wrong kind
 */
export function checked(storage: Storage): Storage {
  return Object.freeze({
    get: async (key: string) => {
      checkKey(key);
      return storage.get(key);
    },
    set: async (key: string, value: StorageValue, options?: StorageOptions) => {
      checkKey(key);
      toCanonicalJson(value);
      checkTtl(options);
      await storage.set(key, value, options);
    },
    delete: async (key: string) => {
      checkKey(key);
      return storage.delete(key);
    },
    increment: async (key: string, by = 1, options?: StorageOptions) => {
      checkKey(key);
      checkAmount(by);
      checkTtl(options);
      return storage.increment(key, by, options);
    },
    compareAndSet: async (
      key: string,
      expected: StorageValue | undefined,
      value: StorageValue,
      options?: StorageOptions,
    ) => {
      checkKey(key);
      if (expected !== undefined) toCanonicalJson(expected);
      toCanonicalJson(value);
      checkTtl(options);
      return storage.compareAndSet(key, expected, value, options);
    },
    list: async (prefix = '') => {
      checkKey(prefix, 'prefix');
      return storage.list(prefix);
    },
  });
}
