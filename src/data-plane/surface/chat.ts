import type { LlmChunk } from '../../plugin-api/llm.ts';
import { DONE_FRAMING } from '../framing.ts';
import { isObject, type JsonObject, objectsIn, textsIn } from '../json-value.ts';
import type { Assembler, StreamShape } from './surface.ts';
import { usageOf } from './usage.ts';

/** The streams of `/v1/chat/completions`. */
export const CHAT_STREAM: StreamShape = Object.freeze({
  framing: DONE_FRAMING,
  usageOf,
  assembler: () => new ChatAssembler(),
  replay: (body: JsonObject, request: JsonObject) => toChunks(body, wantsUsage(request)),
});

/** All that a reader of the answer gets to see: text, refusals, reasoning and the arguments of tool calls. */
export function textOfChat(body: JsonObject): string {
  return objectsIn(body.choices)
    .flatMap((choice) => textsOfMessage(choice.message))
    .join('\n');
}

/** Puts a streamed answer together from its chunks. */
export class ChatAssembler implements Assembler {
  readonly #choices = new Map<number, MutableChoice>();
  #head: JsonObject = {};
  #usage: unknown = null;

  add(chunk: LlmChunk): void {
    if (Object.keys(this.#head).length === 0) this.#head = chunk;
    if (isObject(chunk.usage)) this.#usage = chunk.usage;
    for (const choice of objectsIn(chunk.choices)) this.#addChoice(choice);
  }

  /** The answer so far, in the shape of an answer that was not streamed. */
  whole(): JsonObject {
    const { choices: _choices, object: _object, usage: _usage, ...head } = this.#head;
    const choices = [...this.#choices.values()].sort((a, b) => a.index - b.index);
    const body = { ...head, object: 'chat.completion', choices };
    return this.#usage === null ? body : { ...body, usage: this.#usage };
  }

  #addChoice(chunk: JsonObject): void {
    const index = typeof chunk.index === 'number' ? chunk.index : 0;
    const choice = this.#choices.get(index) ?? { index, message: { role: 'assistant' }, finish_reason: null };
    this.#choices.set(index, choice);
    if (isObject(chunk.delta)) mergeDelta(choice.message, chunk.delta);
    if (isObject(chunk.logprobs)) choice.logprobs = mergeLogprobs(choice.logprobs, chunk.logprobs);
    if (chunk.finish_reason != null) choice.finish_reason = chunk.finish_reason;
  }
}

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

interface MutableChoice {
  readonly index: number;
  readonly message: Record<string, unknown>;
  logprobs?: JsonObject;
  finish_reason: unknown;
}

function textsOfMessage(message: unknown): string[] {
  if (!isObject(message)) return [];
  const calls = objectsIn(message.tool_calls).map((call) =>
    isObject(call.function) ? call.function.arguments : undefined,
  );
  const texts = [message.content, message.refusal, message.reasoning_content, message.reasoning];
  return textsIn([...texts, ...calls]);
}

/** Strings grow, tool calls are merged by their index, everything else is replaced. */
function mergeDelta(message: Record<string, unknown>, delta: JsonObject): void {
  for (const [key, value] of Object.entries(delta)) {
    if (key === 'role') message[key] = value;
    else if (key === 'tool_calls') message[key] = mergeToolCalls(objectsIn(message[key]), objectsIn(value));
    else define(message, key, mergeValue(message[key], value));
  }
}

function mergeValue(before: unknown, value: unknown): unknown {
  if (typeof before === 'string' && typeof value === 'string') return before + value;
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
  for (const [key, value] of Object.entries(more)) define(merged, key, mergeValue(merged[key], value));
  return { ...call, ...rest, function: merged };
}

/** Logprobs come in pieces as the text does: their lists grow. */
export function mergeLogprobs(before: JsonObject | null | undefined, more: JsonObject): JsonObject {
  if (before == null) return more;
  const merged: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(more)) {
    const old = merged[key];
    define(merged, key, Array.isArray(old) && Array.isArray(value) ? [...old, ...value] : value);
  }
  return merged;
}

/** Assignment would call the setter of `__proto__`, which a model's answer may hold as a key. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}

function toDelta(message: unknown): JsonObject {
  if (!isObject(message)) return {};
  const calls = message.tool_calls;
  if (!Array.isArray(calls)) return message;
  return { ...message, tool_calls: objectsIn(calls).map((call, index) => ({ index, ...call })) };
}
