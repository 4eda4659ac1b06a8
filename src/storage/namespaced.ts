import type { Storage, StorageOptions, StorageValue } from '../plugin-api/storage.ts';
import { checkAmount, checkKey, checkTtl } from './arguments.ts';
import { toCanonicalJson } from './canonical-json.ts';

/**
 * One namespace of a store: a plugin's `context.storage`. No key leads out of it, since every key gets a prefix and no
 * prefix begins another one: the namespace is escaped, so that its closing `:` is the first one in the key.
 *
 * Arguments are checked here, on the caller's side of containment, so that a plugin's mistake is never blamed on the
 * plugin that provides the store.
 *
 * @throws TypeError from every method (as a rejection), for keys, values or times of the wrong kind
 *
 * @example
 * ```ts
 * const mine = namespaced(storage, 'my-plugin');
 * await mine.set('seen', 1); // the key 'my-plugin:seen' of `storage`
 * ```
 */
export function namespaced(storage: Storage, namespace: string): Storage {
  const prefix = `${encodeURIComponent(namespace)}:`;
  const toKey = (key: unknown): string => {
    checkKey(key);
    return prefix + key;
  };
  return Object.freeze({
    get: async (key: string) => storage.get(toKey(key)),
    set: async (key: string, value: StorageValue, options?: StorageOptions) => {
      toCanonicalJson(value);
      checkTtl(options);
      await storage.set(toKey(key), value, options);
    },
    delete: async (key: string) => storage.delete(toKey(key)),
    increment: async (key: string, by = 1, options?: StorageOptions) => {
      checkAmount(by);
      checkTtl(options);
      return storage.increment(toKey(key), by, options);
    },
    compareAndSet: async (
      key: string,
      expected: StorageValue | undefined,
      value: StorageValue,
      options?: StorageOptions,
    ) => {
      if (expected !== undefined) toCanonicalJson(expected);
      toCanonicalJson(value);
      checkTtl(options);
      return storage.compareAndSet(toKey(key), expected, value, options);
    },
    list: async (keyPrefix = '') => {
      checkKey(keyPrefix, 'prefix');
      const keys = await storage.list(prefix + keyPrefix);
      return keys.map((key) => key.slice(prefix.length));
    },
  });
}
