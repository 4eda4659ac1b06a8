import type { StorageValue } from '../plugin-api/storage.ts';

/** Deeper values are most likely circular; the limit keeps the recursion off the end of the stack. */
const MAX_DEPTH = 200;

/**
 * The one JSON text of a value: no blanks, keys sorted by code unit, so that equal values have equal texts. Properties
 * that are `undefined` are left out, as `JSON.stringify` does. Everything else that JSON would quietly change (`NaN`,
 * dates, class instances, functions) is refused.
 *
 * @throws TypeError names the place of what is not JSON
 */
export function toCanonicalJson(value: unknown): string {
  return write(value, 'value', 0);
}

/** True for what {@link toCanonicalJson} accepts. */
export function isStorageValue(value: unknown): value is StorageValue {
  try {
    toCanonicalJson(value);
    return true;
  } catch {
    return false;
  }
}

function write(value: unknown, place: string, depth: number): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (depth > MAX_DEPTH)
    throw new TypeError(`${place}: expected at most ${MAX_DEPTH} levels, saw more (a circle?)`);
  if (Array.isArray(value)) return writeArray(value, place, depth);
  if (isPlainObject(value)) return writeObject(value, place, depth);
  throw new TypeError(`${place}: expected JSON, saw ${nameType(value)}`);
}

function writeArray(value: readonly unknown[], place: string, depth: number): string {
  const items = Array.from(value, (item, index) => write(item, `${place}[${index}]`, depth + 1));
  return `[${items.join(',')}]`;
}

function writeObject(value: Readonly<Record<string, unknown>>, place: string, depth: number): string {
  const members = [];
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    members.push(`${JSON.stringify(key)}:${write(member, `${place}.${key}`, depth + 1)}`);
  }
  return `{${members.join(',')}}`;
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

/** What a value is, for an error message; never the value itself, which may be a secret. */
export function nameType(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'number') return Number.isFinite(value) ? 'a number' : String(value);
  if (typeof value !== 'object') return value === undefined ? 'undefined' : `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== 'Object' ? `an instance of ${name}` : 'an object';
}
