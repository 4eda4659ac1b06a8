import type { LlmFinishReason } from '../../plugin-api/llm-event.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import type { AnswerReading } from '../text/slot.ts';
import { TextCollector } from '../text/walk.ts';

/**
 * Reads an answer that has choices, or an event of one.
 *
 * @param member of a choice, that holds what the model says
 */
export function readChoices(body: JsonObject, member: 'message' | 'delta' | 'text'): AnswerReading {
  const found = new TextCollector();
  const finishes: { choice: number; reason: LlmFinishReason }[] = [];
  let keeps = false;
  const choices: readonly unknown[] = Array.isArray(body.choices) ? body.choices : [];
  for (let at = 0; at < choices.length; at++) {
    const choice = choices[at];
    if (!isObject(choice)) continue;
    const index = typeof choice.index === 'number' ? choice.index : 0;
    found.choice = index;
    found.shadow = isObject(choice.logprobs) ? ['choices', at, 'logprobs'] : null;
    found.collect(choice[member], ['choices', at, member], String(index));
    if (isObject(choice.delta) && choice.delta.role !== undefined) keeps = true;
    if (choice.finish_reason != null)
      finishes.push({ choice: index, reason: toReason(choice.finish_reason) });
  }
  return { texts: found.slots, finishes, error: errorIn(body), keeps };
}

/** What an upstream says of a failure within its answer. */
export function errorIn({ error }: JsonObject): AnswerReading['error'] {
  if (!isObject(error)) return null;
  const { message, code } = error;
  return {
    message: typeof message === 'string' ? message : 'The upstream failed',
    code: typeof code === 'string' ? code : null,
  };
}

const REASONS: Readonly<Record<string, LlmFinishReason>> = {
  stop: 'stop',
  length: 'length',
  content_filter: 'content-filter',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  error: 'error',
};

function toReason(reason: unknown): LlmFinishReason {
  return typeof reason === 'string' && Object.hasOwn(REASONS, reason)
    ? (REASONS[reason] as LlmFinishReason)
    : 'other';
}
