import type { ErrorBody } from '../errors.ts';
import type { LlmChunk } from '../plugin-api/llm.ts';
import { isObject } from './json-value.ts';
import { DONE, DONE_EVENT, encodeEvent, endsWithDone, parseEvents } from './sse.ts';

/** How a dialect puts JSON into an event stream, and what ends one. Without its end a stream is a truncated answer. */
export interface StreamFraming {
  /** Where the event that ends the stream ends in `events`, which holds whole events only; -1 when it is not there. */
  endIn(events: Buffer): number;
  /** The event that ends a stream and carries nothing else, `null` when the dialect ends with one of its own events. */
  readonly terminator: Buffer | null;
  /** True for an event that ends the stream and carries something. */
  isLast(chunk: LlmChunk): boolean;
  encode(chunk: LlmChunk): Buffer;
  /** Says nothing: for clients and proxies that hang up on a connection that is silent for too long. */
  readonly keepAlive: Buffer;
  /**
   * The event that tells of a failure in a stream that has begun.
   *
   * @param status the HTTP status that the failure would have had
   */
  encodeError(body: ErrorBody, status: number, requestId: string): Buffer;
}

/** A comment, which clients pass over (WHATWG HTML, section 9.2 "Server-sent events"). */
const COMMENT = Buffer.from(': keep-alive\n\n');

/** `data` lines alone, and `[DONE]` in the end: chat and text completions. */
export const DONE_FRAMING: StreamFraming = Object.freeze({
  endIn: (events: Buffer) => (endsWithDone(events) ? events.length : -1),
  terminator: DONE_EVENT,
  isLast: () => false,
  encode: encodeEvent,
  keepAlive: COMMENT,
  encodeError: (body: ErrorBody) => encodeEvent(body),
});

/**
 * Events that are called by their JSON's `type`, one of `last` in the end: the Responses API, images, and Anthropic's
 * Messages API. Sources: OpenAI's API reference, heading "Streaming events"; Anthropic's, "Streaming messages".
 *
 * @param toErrorEvent the event that tells of a failure; default: as the Responses API has it
 * @param keepAlive what is sent while there is nothing to say; default: a comment
 */
export function typedFraming(
  last: readonly string[],
  toErrorEvent: ToErrorEvent = toResponsesError,
  keepAlive: Buffer = COMMENT,
): StreamFraming {
  const isLast = (chunk: LlmChunk): boolean => typeof chunk.type === 'string' && last.includes(chunk.type);
  return Object.freeze({
    endIn(events: Buffer): number {
      // A search for each type spares nearly every read the parsing.
      return last.some((type) => events.includes(type)) ? endOfFirst(events, isLast) : -1;
    },
    terminator: null,
    isLast,
    encode: encodeTyped,
    keepAlive,
    encodeError: (body: ErrorBody, status: number, requestId: string) =>
      encodeTyped(toErrorEvent(body, status, requestId)),
  });
}

/** A failure as an event of a stream; see {@link StreamFraming.encodeError}. */
export type ToErrorEvent = (body: ErrorBody, status: number, requestId: string) => LlmChunk;

/**
 * The reference has the fields at the top, clients in the field look for them in `error`. The upstream's count of
 * events is not kept on the fast path.
 */
function toResponsesError({ error }: ErrorBody): LlmChunk {
  return { ...error, type: 'error', error, sequence_number: 0 };
}

function encodeTyped(chunk: LlmChunk): Buffer {
  const { type } = chunk;
  const name = typeof type === 'string' && /^[\w.-]+$/.test(type) ? `event: ${type}\n` : '';
  return Buffer.from(`${name}data: ${JSON.stringify(chunk)}\n\n`);
}

function endOfFirst(events: Buffer, isLast: (chunk: LlmChunk) => boolean): number {
  for (const { data, raw } of parseEvents(events)) {
    if (data !== null && data !== DONE && isLast(parse(data)))
      return raw.byteOffset - events.byteOffset + raw.length;
  }
  return -1;
}

function parse(data: string): LlmChunk {
  try {
    const value: unknown = JSON.parse(data);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
