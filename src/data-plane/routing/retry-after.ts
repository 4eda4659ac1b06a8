/** A deployment that asks for a longer rest is not waited for. Milliseconds. */
export const LONGEST_WAIT_MS: number = 10_000;

/** What an upstream may at most keep the router from preferring it. Milliseconds. */
const LONGEST_REST_MS = 60_000;

/**
 * How long an upstream wants to be left alone, in milliseconds, at most a minute; 0 when it does not say.
 *
 * @param value the `Retry-After` header: seconds or an HTTP date (RFC 9110, section 10.2.3)
 * @param now epoch milliseconds
 */
export function retryAfterMs(value: string | null, now: number): number {
  if (value === null) return 0;
  const ms = /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), LONGEST_REST_MS);
}
