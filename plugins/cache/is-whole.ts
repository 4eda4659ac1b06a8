import type { LlmSurface } from 'routeiq-gateway/plugin';

type Body = Readonly<Record<string, unknown>>;

/** OpenAI's and Anthropic's words for an answer that its model has ended by itself. */
const ENDS: readonly unknown[] = [
  'stop',
  'tool_calls',
  'function_call',
  'end_turn',
  'stop_sequence',
  'tool_use',
];

/**
 * True for an answer that says all that it has to say: not one that was cut at its limit or by a filter, and not one
 * that tells of a failure.
 */
export function isWhole(surface: LlmSurface, body: Body): boolean {
  if (body.error !== undefined && body.error !== null) return false;
  if (surface === 'responses') return body.status === 'completed';
  if (surface === 'messages') return ENDS.includes(body.stop_reason);
  if (surface !== 'chat.completions' && surface !== 'completions') return true;
  const { choices } = body;
  return Array.isArray(choices) && choices.length > 0 && choices.every(hasEnded);
}

function hasEnded(choice: unknown): boolean {
  return (
    typeof choice === 'object' &&
    choice !== null &&
    'finish_reason' in choice &&
    ENDS.includes(choice.finish_reason)
  );
}
