import type { LlmChunk } from '../../plugin-api/llm.ts';
import type { LlmFinishReason } from '../../plugin-api/llm-event.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import type { AnswerReading, Path } from '../text/slot.ts';
import { TextCollector, toolOf } from '../text/walk.ts';
import { errorIn } from './read-choices.ts';

/** A whole answer of `/v1/messages`: text, thinking, the input of tool calls, and what tools of the upstream answered. */
export function readMessage(body: JsonObject): AnswerReading {
  const found = new TextCollector();
  collectBlocks(found, body, []);
  return toReading(found, body, body.stop_reason, true);
}

/** One event of a stream. Source: Anthropic's API reference, heading "Streaming messages". */
export function readMessageEvent(event: LlmChunk): AnswerReading {
  const found = new TextCollector();
  const { type, message, delta, index, content_block: block } = event;
  const place = String(index ?? 0);
  if (isObject(message)) collectBlocks(found, message, ['message']);
  else if (isObject(block)) collectBlock(found, block, ['content_block'], place);
  else if (type === 'content_block_delta' && isObject(delta)) collectDelta(found, delta, place);
  const stopReason = type === 'message_delta' && isObject(delta) ? delta.stop_reason : null;
  return toReading(found, event, stopReason, type !== 'content_block_delta');
}

function collectBlocks(found: TextCollector, { content }: JsonObject, path: Path): void {
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [];
  for (const [at, block] of blocks.entries()) {
    if (isObject(block)) collectBlock(found, block, [...path, 'content', at], String(at));
  }
}

function collectBlock(found: TextCollector, block: JsonObject, path: Path, place: string): void {
  const { input, ...rest } = block;
  found.collect(rest, path, place);
  if (!isObject(input)) return;
  // The input of a call that is streamed begins empty, and comes in pieces of JSON.
  const text = Object.keys(input).length === 0 ? '' : JSON.stringify(input);
  found.add(text, [...path, 'input'], `${place}/input`, 'tool-input', toolOf(block, null), true);
}

function collectDelta(found: TextCollector, delta: JsonObject, place: string): void {
  const { partial_json: json, ...rest } = delta;
  found.collect(rest, ['delta'], place);
  if (typeof json === 'string') found.add(json, ['delta', 'partial_json'], `${place}/input`, 'tool-input');
}

const REASONS: Readonly<Record<string, LlmFinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
};

function toReading(
  found: TextCollector,
  body: JsonObject,
  stopReason: unknown,
  keeps: boolean,
): AnswerReading {
  const finishes = typeof stopReason === 'string' ? [{ choice: 0, reason: toReason(stopReason) }] : [];
  return { texts: found.slots, finishes, error: errorIn(body), keeps };
}

function toReason(reason: string): LlmFinishReason {
  return Object.hasOwn(REASONS, reason) ? (REASONS[reason] as LlmFinishReason) : 'other';
}
