import { isObject } from '../json-value.ts';
import { DONE, parseEvents } from '../sse.ts';
import { fromErrorStatus, type UpstreamFailure } from './failure.ts';
import type { AnswerHeaders } from './headers.ts';
import type { Redact } from './redact.ts';

/** The HTTP status that errors of these types have where no stream has begun. */
const STATUS_OF_TYPE: ReadonlyMap<unknown, number> = new Map([
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['timeout_error', 504],
  ['overloaded_error', 529],
]);

/**
 * The failure of a stream that begins with an error instead of an answer: the status said 200 before the upstream knew
 * better, and as nothing has reached the client, another deployment may still answer. `null` for any other stream.
 *
 * @param events the first whole events of the stream
 */
export function failureAtStart(
  deployment: string,
  headers: AnswerHeaders,
  events: Buffer,
  redact: Redact,
): UpstreamFailure | null {
  // Nearly no stream has the word in its first events.
  if (!events.includes('"error"')) return null;
  const first = parseEvents(events).find(({ data }) => data !== null && data !== DONE)?.data;
  const chunk = first == null ? null : parse(first);
  if (!isObject(chunk) || !isObject(chunk.error) || chunk.choices !== undefined) return null;
  if (chunk.type !== undefined && chunk.type !== 'error') return null;
  return fromErrorStatus(
    deployment,
    statusOf(chunk.error),
    headers,
    Buffer.from(JSON.stringify(chunk)),
    redact,
  );
}

/** OpenAI-compatible servers give the status as the code, Anthropic's API says it with the type. */
function statusOf({ code, type }: Readonly<Record<string, unknown>>): number {
  const isStatus = typeof code === 'number' && Number.isInteger(code) && code >= 400 && code <= 599;
  return isStatus ? code : (STATUS_OF_TYPE.get(type) ?? 500);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
