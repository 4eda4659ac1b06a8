import type { LlmChunk } from '../../plugin-api/llm.ts';
import type { LlmFinishReason } from '../../plugin-api/llm-event.ts';
import { isObject, type JsonObject, objectsIn } from '../json-value.ts';
import type { AnswerReading, Path } from '../text/slot.ts';
import { TextCollector, toolOf } from '../text/walk.ts';
import { errorIn } from './read-choices.ts';

/** A whole answer of `/v1/responses`: messages, refusals, reasoning, and what goes into and comes out of tool calls. */
export function readResponse(body: JsonObject): AnswerReading {
  const found = new TextCollector();
  collectOutput(found, body, []);
  return toReading(found, body, true);
}

/**
 * One event of a stream. Texts come in pieces first, and then again and again as a whole: with the end of the text, of
 * its part, of its item and of the answer. Source: OpenAI's API reference, heading "Streaming events".
 */
export function readResponseEvent(event: LlmChunk): AnswerReading {
  const found = new TextCollector();
  const type = typeof event.type === 'string' ? event.type : '';
  if (isObject(event.response)) {
    found.repeats = true;
    collectOutput(found, event.response, ['response']);
    return toReading(found, event.response, LAST.test(type));
  }
  collectPiece(found, type, event);
  const isError = type === 'error';
  return {
    texts: found.slots,
    finishes: [],
    error: isError ? errorIn({ error: isObject(event.error) ? event.error : event }) : null,
    keeps: !type.endsWith('.delta'),
  };
}

const LAST = /^response\.(completed|failed|incomplete)$/;

/** Where the text stands that an event of a type has a piece of (`.delta`), or the whole (`.done`). */
const PIECES: Readonly<Record<string, readonly [list: 'content' | 'summary' | null, member: string]>> = {
  'response.output_text': ['content', 'text'],
  'response.refusal': ['content', 'refusal'],
  'response.reasoning_text': ['content', 'text'],
  'response.reasoning_summary_text': ['summary', 'text'],
  'response.function_call_arguments': [null, 'arguments'],
  'response.mcp_call_arguments': [null, 'arguments'],
  'response.code_interpreter_call_code': [null, 'code'],
  'response.custom_tool_call_input': [null, 'input'],
};

function collectPiece(found: TextCollector, type: string, event: LlmChunk): void {
  const item = String(event.output_index ?? 0);
  found.shadow = Array.isArray(event.logprobs) ? ['logprobs'] : null;
  found.repeats = !type.endsWith('.delta');
  if (isObject(event.item)) found.collect(event.item, ['item'], item, kindOfItem(event.item));
  else if (isObject(event.part)) collectPart(found, type, event, event.part, item);
  else if (type === 'response.output_text.annotation.added') {
    found.collect(
      event.annotation,
      ['annotation'],
      `${placeOf(event, 'content', item)}/annotations/${event.annotation_index}`,
    );
  } else if (type !== 'response.audio.delta') collectMember(found, type, event, item);
}

function collectPart(
  found: TextCollector,
  type: string,
  event: LlmChunk,
  part: JsonObject,
  item: string,
): void {
  const isSummary = type.startsWith('response.reasoning_summary_part');
  const place = placeOf(event, isSummary ? 'summary' : 'content', item);
  found.collect(part, ['part'], place, isSummary ? 'reasoning' : 'text');
}

function collectMember(found: TextCollector, type: string, event: LlmChunk, item: string): void {
  const base = type.slice(0, type.lastIndexOf('.'));
  const [list, member] = Object.hasOwn(PIECES, base)
    ? (PIECES[base] as (typeof PIECES)[string])
    : [null, base];
  const part = `${list === null ? item : placeOf(event, list, item)}/${member}`;
  const key = found.repeats ? member : 'delta';
  const text = event[key];
  if (typeof text === 'string')
    found.add(text, [key], part, kindOfPiece(base), toolOf({ name: event.name }, null));
}

function placeOf(event: LlmChunk, list: 'content' | 'summary', item: string): string {
  return `${item}/${list}/${event[list === 'content' ? 'content_index' : 'summary_index'] ?? 0}`;
}

function kindOfPiece(base: string): 'text' | 'reasoning' | 'tool-input' {
  if (base.includes('reasoning')) return 'reasoning';
  return base.includes('_call') ? 'tool-input' : 'text';
}

function kindOfItem({ type }: JsonObject): 'text' | 'reasoning' {
  return type === 'reasoning' ? 'reasoning' : 'text';
}

function collectOutput(found: TextCollector, response: JsonObject, path: Path): void {
  const output: readonly unknown[] = Array.isArray(response.output) ? response.output : [];
  for (const [at, item] of output.entries()) {
    if (isObject(item)) found.collect(item, [...path, 'output', at], String(at), kindOfItem(item));
  }
}

function toReading(found: TextCollector, response: JsonObject, isEnd: boolean): AnswerReading {
  return {
    texts: found.slots,
    finishes: isEnd ? [{ choice: 0, reason: toReason(response) }] : [],
    error: errorIn(response),
    keeps: true,
  };
}

function toReason({ status, incomplete_details: details, output }: JsonObject): LlmFinishReason {
  if (status === 'failed') return 'error';
  const why = isObject(details) ? details.reason : null;
  if (why === 'max_output_tokens') return 'length';
  if (why === 'content_filter') return 'content-filter';
  if (status === 'incomplete') return 'other';
  return objectsIn(output).some(({ type }) => type === 'function_call') ? 'tool-calls' : 'stop';
}
