import type { Storage } from '../plugin-api/storage.ts';
import { checked } from './checked.ts';

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
  return checked({
    get: (key) => storage.get(prefix + key),
    set: (key, value, options) => storage.set(prefix + key, value, options),
    delete: (key) => storage.delete(prefix + key),
    increment: (key, by, options) => storage.increment(prefix + key, by, options),
    compareAndSet: (key, expected, value, options) =>
      storage.compareAndSet(prefix + key, expected, value, options),
    list: async (keyPrefix = '') => {
      const keys = await storage.list(prefix + keyPrefix);
      return keys.map((key) => key.slice(prefix.length));
    },
  });
}
