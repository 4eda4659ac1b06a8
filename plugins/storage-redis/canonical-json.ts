import type { StorageValue } from 'routeiq-gateway/plugin';

/** The one JSON text of a value, keys sorted by code unit, so that the server can compare values by their texts. */
export function toCanonicalJson(value: StorageValue): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(toCanonicalJson).join(',')}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${toCanonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

function isArray(value: object): value is readonly StorageValue[] {
  return Array.isArray(value);
}
