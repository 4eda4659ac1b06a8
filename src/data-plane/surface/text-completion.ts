import type { LlmChunk } from '../../plugin-api/llm.ts';
import { DONE_FRAMING } from '../framing.ts';
import { isObject, type JsonObject, objectsIn, textsIn } from '../json-value.ts';
import { mergeLogprobs, wantsUsage } from './chat.ts';
import type { Assembler, StreamShape } from './surface.ts';
import { usageOf } from './usage.ts';

/** The streams of `/v1/completions`. A chunk has the shape of the whole. */
export const TEXT_COMPLETION_STREAM: StreamShape = Object.freeze({
  framing: DONE_FRAMING,
  usageOf,
  assembler: () => new TextAssembler(),
  replay: toChunks,
});

export function textOfTextCompletion(body: JsonObject): string {
  return textsIn(objectsIn(body.choices).map(({ text }) => text)).join('\n');
}

interface MutableChoice {
  readonly index: number;
  text: string;
  logprobs: JsonObject | null;
  finish_reason: unknown;
}

class TextAssembler implements Assembler {
  readonly #choices = new Map<number, MutableChoice>();
  #head: JsonObject = {};
  #usage: unknown = null;

  add(chunk: LlmChunk): void {
    if (Object.keys(this.#head).length === 0) this.#head = chunk;
    if (isObject(chunk.usage)) this.#usage = chunk.usage;
    for (const choice of objectsIn(chunk.choices)) this.#addChoice(choice);
  }

  whole(): JsonObject {
    const { choices: _choices, usage: _usage, ...head } = this.#head;
    const choices = [...this.#choices.values()].sort((a, b) => a.index - b.index);
    const body = { ...head, choices };
    return this.#usage === null ? body : { ...body, usage: this.#usage };
  }

  #addChoice(chunk: JsonObject): void {
    const index = typeof chunk.index === 'number' ? chunk.index : 0;
    const choice = this.#choices.get(index) ?? { index, text: '', logprobs: null, finish_reason: null };
    this.#choices.set(index, choice);
    if (typeof chunk.text === 'string') choice.text += chunk.text;
    if (isObject(chunk.logprobs)) choice.logprobs = mergeLogprobs(choice.logprobs, chunk.logprobs);
    if (chunk.finish_reason != null) choice.finish_reason = chunk.finish_reason;
  }
}

function toChunks(body: JsonObject, request: JsonObject): LlmChunk[] {
  const { usage, ...rest } = body;
  const chunks: LlmChunk[] = [rest];
  if (wantsUsage(request) && isObject(usage)) chunks.push({ ...rest, choices: [], usage });
  return chunks;
}
