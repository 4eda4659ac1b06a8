import type { DeploymentConfig } from '../../config/types.ts';
import type { UpstreamCall } from './upstream.ts';

/**
 * The deadlines of one attempt, in milliseconds. `litellm_params.timeout` bounds an answer that is not streamed as a
 * whole; of a stream it bounds each silence, the one before the first token included, and `stream_timeout` does so in
 * its place.
 *
 * | what | default |
 * |---|---|
 * | connect | 10 s |
 * | whole answer | 600 s |
 * | first token of a stream, first byte of audio | 600 s |
 * | silence within an answer | 120 s |
 * | total of a stream | 3600 s |
 */
export interface Timeouts {
  readonly whole: AttemptDeadlines;
  /** Of answers that come piece by piece. */
  readonly stream: AttemptDeadlines;
}

export interface AttemptDeadlines {
  /** Until the first piece of the answer. */
  readonly firstMs: number;
  readonly idleMs: number;
  /** At least {@link firstMs}. */
  readonly totalMs: number;
}

/** For the making of a connection; one for all deployments of an origin. */
export const CONNECT_TIMEOUT_MS: number = 10_000;

const DEFAULT_MS = 600_000;
const IDLE_MS = 120_000;
const STREAM_MS = 3_600_000;

/** The deadlines of an attempt, by how its answer comes. */
export function deadlinesFor(
  { surface, body }: Pick<UpstreamCall, 'surface' | 'body'>,
  timeouts: Timeouts,
): AttemptDeadlines {
  return body.stream || surface.answer === 'bytes' ? timeouts.stream : timeouts.whole;
}

/** The deadlines of a deployment as configured. */
export function createTimeouts({
  timeoutMs,
  streamTimeoutMs,
}: Pick<DeploymentConfig, 'timeoutMs' | 'streamTimeoutMs'>): Timeouts {
  const whole = timeoutMs ?? DEFAULT_MS;
  const silence = streamTimeoutMs ?? timeoutMs;
  const first = silence ?? DEFAULT_MS;
  return Object.freeze({
    whole: Object.freeze({ firstMs: whole, idleMs: Math.min(whole, IDLE_MS), totalMs: whole }),
    stream: Object.freeze({
      firstMs: first,
      idleMs: silence ?? IDLE_MS,
      totalMs: Math.max(first, STREAM_MS),
    }),
  });
}
