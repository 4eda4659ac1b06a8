import { deepFreeze } from '../freeze.ts';

/** A place in a tree of lists and mappings. */
export type Path = readonly (string | number)[];

/** A mapping without a prototype, so that no name (`__proto__`, `constructor`) is special. */
export type PlainRecord = Record<string, unknown>;

/** True for a mapping, as opposed to a list or a scalar. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An empty mapping without a prototype. */
export function emptyRecord(): PlainRecord {
  return Object.create(null) as PlainRecord;
}

/** The own value of `key`: never one that is inherited from `Object.prototype`. */
export function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** What is at `path`, or `undefined`. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, part) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    return Reflect.get(value, part);
  }, root);
}

/** A deep copy in which every mapping lacks a prototype and every text went through `onText`. For trees only. */
export function copyPlain(
  value: unknown,
  onText: (text: string, path: Path) => string = (text) => text,
  path: Path = [],
): unknown {
  if (typeof value === 'string') return onText(value, path);
  if (Array.isArray(value)) return value.map((item, index) => copyPlain(item, onText, [...path, index]));
  if (!isRecord(value)) return value;
  const copy = emptyRecord();
  for (const [key, item] of Object.entries(value)) copy[key] = copyPlain(item, onText, [...path, key]);
  return copy;
}

/** A map that cannot be changed, and whose values are deeply frozen. */
export function frozenMap<K, V>(entries: Iterable<readonly [K, V]>): ReadonlyMap<K, V> {
  const map = new Map(entries);
  for (const value of map.values()) deepFreeze(value);
  return lock(map, ['set', 'delete', 'clear']);
}

/** A set that cannot be changed. */
export function frozenSet<T>(values: Iterable<T>): ReadonlySet<T> {
  return lock(new Set(values), ['add', 'delete', 'clear']);
}

// Object.freeze does not reach the entries of a Map or Set: the methods that write have to go.
function lock<T extends object>(collection: T, methods: readonly string[]): T {
  for (const method of methods) {
    Object.defineProperty(collection, method, {
      value: () => {
        throw new TypeError(`the configuration is read-only: ${method}() is refused`);
      },
    });
  }
  return Object.freeze(collection);
}
