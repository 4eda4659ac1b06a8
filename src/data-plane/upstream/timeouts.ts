/**
 * The deadlines of one attempt, in milliseconds. `litellm_params.timeout` sets the totals and the first byte's, and
 * shortens the others.
 *
 * | what | default |
 * |---|---|
 * | connect | 10 s |
 * | head of the answer (first byte) | 600 s: a long answer that is not streamed has no first byte before its last |
 * | silence within an answer | 120 s |
 * | total | 600 s |
 * | total of a stream | 3600 s |
 */
export interface Timeouts {
  readonly firstByteMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly streamTotalMs: number;
}

/** For the making of a connection; one for all deployments of an origin. */
export const CONNECT_TIMEOUT_MS: number = 10_000;

/** The deadlines of a deployment, `timeoutMs` as configured. */
export function createTimeouts(timeoutMs: number | null): Timeouts {
  return Object.freeze({
    firstByteMs: timeoutMs ?? 600_000,
    idleMs: Math.min(timeoutMs ?? 120_000, 120_000),
    totalMs: timeoutMs ?? 600_000,
    streamTotalMs: timeoutMs ?? 3_600_000,
  });
}
