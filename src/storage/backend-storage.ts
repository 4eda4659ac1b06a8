import type { Storage, StorageBackend } from '../plugin-api/storage.ts';
import { isStorageValue, nameType } from './canonical-json.ts';

/**
 * A plugin's {@link StorageBackend} as a {@link Storage}: its methods may answer at once, and what they answer is
 * checked by shape. What they throw, or a rejection, is passed on.
 *
 * @throws TypeError (as a rejection) when an answer has the wrong shape; the caller of this adapter counts it as a
 * failure of the plugin
 */
export function toStorage(backend: StorageBackend): Storage {
  return Object.freeze<Storage>({
    get: async (key) => {
      const value: unknown = await backend.get(key);
      return value === undefined || isStorageValue(value)
        ? value
        : wrongAnswer('get', 'JSON or undefined', value);
    },
    set: async (key, value, options) => {
      await backend.set(key, value, options);
    },
    delete: async (key) => checkBoolean('delete', await backend.delete(key)),
    increment: async (key, by, options) => {
      const sum: unknown = await backend.increment(key, by, options);
      return typeof sum === 'number' && Number.isFinite(sum)
        ? sum
        : wrongAnswer('increment', 'a finite number', sum);
    },
    compareAndSet: async (key, expected, value, options) =>
      checkBoolean('compareAndSet', await backend.compareAndSet(key, expected, value, options)),
    list: async (prefix = '') => checkKeys(await backend.list(prefix), prefix),
  });
}

function checkBoolean(method: string, answer: unknown): boolean {
  return typeof answer === 'boolean' ? answer : wrongAnswer(method, 'a boolean', answer);
}

function checkKeys(answer: unknown, prefix: string): readonly string[] {
  if (!Array.isArray(answer)) return wrongAnswer('list', 'an array of keys', answer);
  const keys: readonly unknown[] = answer;
  return keys.map((key) => checkListed(key, prefix)).sort();
}

/** A key that does not begin with the prefix would be one of another plugin's namespace. */
function checkListed(key: unknown, prefix: string): string {
  if (typeof key !== 'string') return wrongAnswer('list', 'keys that are strings', key);
  if (!key.startsWith(prefix))
    throw new TypeError('storage backend: list() answered with a key outside the prefix');
  return key;
}

function wrongAnswer(method: string, expected: string, saw: unknown): never {
  throw new TypeError(`storage backend: ${method}() has to answer with ${expected}, saw ${nameType(saw)}`);
}
