import { GatewayError } from 'routeiq-gateway/plugin';
import { type Budget, type KeyTerms, PERIODS, type Period } from './virtual-key.ts';

/** An id is a part of keys in the store, of paths and of log lines. */
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

type Fields = Readonly<Record<string, unknown>>;

const TERMS = ['name', 'models', 'scopes', 'tools', 'expiresAt', 'rpm', 'tpm', 'budget'];

/**
 * Reads the terms of a key, as the admin API and the keys file have them. A field that is not known is refused: it may
 * be a limit that somebody relies on.
 *
 * @param others - fields that the caller reads itself
 * @throws GatewayError `invalid_request`, names the field, the value seen and the value expected
 */
export function readTerms(fields: Fields, others: readonly string[]): KeyTerms {
  const known = [...TERMS, ...others];
  for (const field of Object.keys(fields)) {
    if (!known.includes(field)) throw invalid(field, 'a field', `one of ${known.join(', ')}`);
  }
  return {
    name: readName(fields),
    models: readList(fields, 'models'),
    scopes: readList(fields, 'scopes'),
    tools: readList(fields, 'tools'),
    expiresAt: readDate(fields),
    rpm: readCount(fields, 'rpm'),
    tpm: readCount(fields, 'tpm'),
    budget: readBudget(fields),
  };
}

/** @throws GatewayError `invalid_request` */
export function readId(value: unknown): string {
  if (typeof value === 'string' && ID.test(value)) return value;
  throw invalid('id', value, 'up to 64 letters, digits, ".", "_" and "-"');
}

/** @throws GatewayError `invalid_request` */
export function readObject(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new GatewayError('invalid_request', 'Expected a JSON object');
}

/**
 * Seconds for which the key before stays good.
 *
 * @throws GatewayError `invalid_request`
 */
export function readGrace(fields: Fields, fallback: number): number {
  const { graceSeconds = fallback, ...rest } = fields;
  for (const field of Object.keys(rest)) throw invalid(field, 'a field', 'graceSeconds');
  const isFine = typeof graceSeconds === 'number' && graceSeconds >= 0 && graceSeconds <= 30 * 86_400;
  if (isFine) return graceSeconds;
  throw invalid('graceSeconds', graceSeconds, 'seconds from 0 to 2592000');
}

function readName({ name }: Fields): string | null {
  if (name == null) return null;
  if (typeof name === 'string' && name.length >= 1 && name.length <= 200) return name;
  throw invalid('name', name, 'a text of 1 to 200 characters');
}

function readList(fields: Fields, field: string): readonly string[] | null {
  const value = fields[field];
  if (value == null) return null;
  const isFine = Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== '');
  if (isFine) return value;
  throw invalid(field, value, 'a list of names');
}

function readDate({ expiresAt }: Fields): number | null {
  if (expiresAt == null) return null;
  const at = typeof expiresAt === 'string' ? Date.parse(expiresAt) : Number.NaN;
  if (Number.isFinite(at)) return at;
  throw invalid('expiresAt', expiresAt, 'a date such as "2030-01-31T00:00:00Z"');
}

function readCount(fields: Fields, field: string): number | null {
  const value = fields[field];
  if (value == null) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(field, value, 'a whole number from 0');
}

function readBudget({ budget }: Fields): Budget | null {
  if (budget == null) return null;
  const { usd, period, ...rest } = readObject(budget);
  const isFine = typeof usd === 'number' && usd >= 0 && usd <= 1e6 && isPeriod(period);
  if (isFine && Object.keys(rest).length === 0) return { usd, period };
  throw invalid('budget', budget, `{ "usd": 0 to 1000000, "period": "${PERIODS.join('" | "')}" }`);
}

function isPeriod(value: unknown): value is Period {
  return PERIODS.some((period) => period === value);
}

function invalid(field: string, seen: unknown, expected: string): GatewayError {
  const shown = String(JSON.stringify(seen)).slice(0, 100);
  return new GatewayError('invalid_request', `${field}: got ${shown}, expected ${expected}`, {
    param: field,
  });
}
