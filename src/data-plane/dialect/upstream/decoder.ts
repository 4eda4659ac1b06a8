import type { LlmChunk } from '../../../plugin-api/llm.ts';
import type { StreamPart } from '../canonical.ts';

/** Turns the events of an upstream's stream into canonical parts. One for each answer. */
export interface Decoder {
  /**
   * @throws UpstreamError, for an event that tells of a failure
   * @throws UnusableAnswer, for content that cannot be carried
   */
  push(chunk: LlmChunk): StreamPart[];
  /** The dialect's terminator has come, or a whole answer was given in one piece. */
  end(): StreamPart[];
}

/** An upstream that has begun its answer says that it failed. */
export class UpstreamError extends Error {
  /** The upstream's own word for it. */
  readonly kind: string;

  constructor(kind: string, message: string) {
    super(message);
    this.name = 'UpstreamError';
    this.kind = kind;
  }
}

/** The error for an `error` object in an event. */
export function toUpstreamError(error: unknown): UpstreamError {
  const { type, message } = (typeof error === 'object' && error !== null ? error : {}) as Record<
    string,
    unknown
  >;
  return new UpstreamError(
    typeof type === 'string' ? type : 'error',
    typeof message === 'string' ? message : '',
  );
}

export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
