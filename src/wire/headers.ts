import type { OutgoingHttpHeaders } from 'node:http';

/**
 * Fields that speak about one connection only and must not be forwarded (RFC 9110, section 7.6.1; `keep-alive` and
 * `proxy-connection` are the old spellings found in the wild). Those that `Connection` names come on top: see
 * {@link connectionOptions}.
 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The names that a `Connection` field lists, in lower case. `null` when it lists nothing but `close` and `keep-alive`,
 * which is nearly always.
 *
 * @example
 * ```ts
 * connectionOptions('keep-alive, X-Trace'); // Set { 'x-trace' }
 * ```
 */
export function connectionOptions(value: string | readonly string[] | undefined): ReadonlySet<string> | null {
  if (value === undefined || value === 'keep-alive' || value === 'close') return null;
  const text = typeof value === 'string' ? value : value.join(',');
  const names = text
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'keep-alive' && name !== 'close');
  return names.length === 0 ? null : new Set(names);
}

/** The media type of a `Content-Type` value: lower case, without parameters. Empty when there is none. */
export function mediaType(contentType: string | readonly string[] | undefined): string {
  if (contentType === undefined) return '';
  const value = typeof contentType === 'string' ? contentType : (contentType[0] ?? '');
  const end = value.indexOf(';');
  return (end === -1 ? value : value.slice(0, end)).trim().toLowerCase();
}

/** True for `application/json` and every `+json` type (RFC 6839, section 3.1). */
export function isJsonType(type: string): boolean {
  return type === 'application/json' || type.endsWith('+json');
}

/** The `charset` parameter of a `Content-Type` value in lower case, `null` when it has none. */
export function charset(contentType: string): string | null {
  const match = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(contentType);
  return match?.[1]?.toLowerCase() ?? null;
}

/** The first of {@link addCallHeaders}: an answer that has it has them all. */
export const DEPLOYMENT_HEADER = 'x-llmrouter-deployment';

/** What it says when no deployment had a part in the answer. */
export const NO_DEPLOYMENT = 'none';

/**
 * Adds what every answer of the data plane tells of its call. See README.md, "Paths".
 *
 * @param deployment the one that was tried last, or {@link NO_DEPLOYMENT}
 * @param overheadMs the gateway's own share of the time, in milliseconds
 */
export function addCallHeaders(
  target: OutgoingHttpHeaders,
  deployment: string,
  attempts: number,
  overheadMs: number,
): void {
  target[DEPLOYMENT_HEADER] = deployment;
  target['x-llmrouter-attempts'] = String(attempts);
  target['x-llmrouter-overhead-ms'] = toThousandths(overheadMs);
}

/** With three decimals. Two whole numbers: writing a fraction takes V8 several times as long. */
function toThousandths(value: number): string {
  const thousandths = Math.max(0, Math.round(value * 1000));
  const whole = Math.floor(thousandths / 1000);
  return `${whole}.${String(thousandths - whole * 1000).padStart(3, '0')}`;
}
