import type { LlmChunk, LlmUsage } from '../../plugin-api/llm.ts';
import { DONE_FRAMING } from '../framing.ts';
import { isObject, type JsonObject, objectsIn, setMember } from '../json-value.ts';
import type { AnswerReading } from '../text/slot.ts';
import { type AssembledChoice, ChoiceAssembler, type ChoiceKind } from './choice-assembler.ts';
import { readChoices } from './read-choices.ts';
import type { StreamShape } from './surface.ts';
import { usageOf } from './usage.ts';

/** The streams of `/v1/chat/completions`. */
export const CHAT_STREAM: StreamShape = Object.freeze({
  framing: DONE_FRAMING,
  usageOf: (chunk: LlmChunk, before: LlmUsage | null) => usageOf(chunk) ?? before,
  usageInFirst: false,
  read: (chunk: LlmChunk) => readChoices(chunk, 'delta'),
  assembler: () => new ChoiceAssembler(CHAT_CHOICES),
  replay: (body: JsonObject, request: JsonObject) => toChunks(body, wantsUsage(request)),
});

/** A whole answer: all that its messages hold. */
export function readChat(body: JsonObject): AnswerReading {
  return readChoices(body, 'message');
}

/** A choice of a chat: deltas make a message. */
const CHAT_CHOICES: ChoiceKind<ChatChoice> = Object.freeze({
  head: { object: 'chat.completion' },
  begin: (index: number) => ({ index, message: { role: 'assistant' }, finish_reason: null }),
  merge({ message }: ChatChoice, { delta }: JsonObject) {
    if (isObject(delta)) mergeDelta(message, delta);
  },
});

/** A whole answer as the chunks of a stream: one with everything, one per choice's end, usage when `includeUsage`. */
export function toChunks(body: JsonObject, includeUsage: boolean): LlmChunk[] {
  const { choices, usage, ...rest } = body;
  const head = { ...rest, object: 'chat.completion.chunk' };
  const chunks: LlmChunk[] = [];
  for (const choice of objectsIn(choices)) {
    const { message, finish_reason, ...place } = choice;
    chunks.push({ ...head, choices: [{ ...place, delta: toDelta(message), finish_reason: null }] });
    chunks.push({
      ...head,
      choices: [{ index: place.index, delta: {}, finish_reason: finish_reason ?? 'stop' }],
    });
  }
  if (includeUsage && isObject(usage)) chunks.push({ ...head, choices: [], usage });
  return chunks;
}

/** True when the client wants a last chunk with the usage. */
export function wantsUsage(requestBody: JsonObject): boolean {
  const options = requestBody.stream_options;
  return isObject(options) && options.include_usage === true;
}

interface ChatChoice extends AssembledChoice {
  readonly message: Record<string, unknown>;
}

/** Strings and lists grow, tool calls are merged by their index, everything else is replaced. */
function mergeDelta(message: Record<string, unknown>, delta: JsonObject): void {
  for (const [key, value] of Object.entries(delta)) {
    if (key === 'role') message[key] = value;
    else if (key === 'tool_calls') message[key] = mergeToolCalls(objectsIn(message[key]), objectsIn(value));
    else setMember(message, key, mergeValue(message[key], value));
  }
}

function mergeValue(before: unknown, value: unknown): unknown {
  if (typeof before === 'string' && typeof value === 'string') return before + value;
  if (Array.isArray(before) && Array.isArray(value)) return [...before, ...value];
  if (value === null && before !== undefined) return before;
  return value;
}

function mergeToolCalls(calls: JsonObject[], deltas: JsonObject[]): JsonObject[] {
  const merged = [...calls];
  for (const { index, ...delta } of deltas) {
    const at = typeof index === 'number' && index >= 0 && index <= merged.length ? index : merged.length;
    merged[at] = mergeToolCall(merged[at] ?? {}, delta);
  }
  return merged;
}

function mergeToolCall(call: JsonObject, delta: JsonObject): JsonObject {
  const { function: before } = call;
  const { function: more, ...rest } = delta;
  if (!isObject(more)) return { ...call, ...rest };
  const merged: Record<string, unknown> = isObject(before) ? { ...before } : {};
  for (const [key, value] of Object.entries(more)) setMember(merged, key, mergeValue(merged[key], value));
  return { ...call, ...rest, function: merged };
}

function toDelta(message: unknown): JsonObject {
  if (!isObject(message)) return {};
  const calls = message.tool_calls;
  if (!Array.isArray(calls)) return message;
  return { ...message, tool_calls: objectsIn(calls).map((call, index) => ({ index, ...call })) };
}
