import type { LlmChunk } from '../../plugin-api/llm.ts';
import { isObject, type JsonObject, objectsIn, setMember } from '../json-value.ts';
import type { Assembler } from './surface.ts';

/** What the choices of all surfaces have. */
export interface AssembledChoice {
  readonly index: number;
  logprobs?: JsonObject | null;
  finish_reason: unknown;
}

/** What the choices of one surface have besides, and how a chunk adds to it. */
export interface ChoiceKind<Choice extends AssembledChoice> {
  /** Members of the whole answer that differ from those of its chunks. */
  readonly head: JsonObject;
  begin(index: number): Choice;
  merge(choice: Choice, chunk: JsonObject): void;
}

/** Puts a streamed answer that has choices together from its chunks. */
export class ChoiceAssembler<Choice extends AssembledChoice> implements Assembler {
  readonly #kind: ChoiceKind<Choice>;
  readonly #choices = new Map<number, Choice>();
  #head: JsonObject = {};
  #usage: unknown = null;

  constructor(kind: ChoiceKind<Choice>) {
    this.#kind = kind;
  }

  add(chunk: LlmChunk): void {
    if (Object.keys(this.#head).length === 0) this.#head = chunk;
    if (isObject(chunk.usage)) this.#usage = chunk.usage;
    for (const choice of objectsIn(chunk.choices)) this.#addChoice(choice);
  }

  whole(): JsonObject {
    const { choices: _choices, usage: _usage, ...head } = this.#head;
    const choices = [...this.#choices.values()].sort((a, b) => a.index - b.index);
    const body = { ...head, ...this.#kind.head, choices };
    return this.#usage === null ? body : { ...body, usage: this.#usage };
  }

  #addChoice(chunk: JsonObject): void {
    const index = typeof chunk.index === 'number' ? chunk.index : 0;
    const choice = this.#choices.get(index) ?? this.#kind.begin(index);
    this.#choices.set(index, choice);
    this.#kind.merge(choice, chunk);
    if (isObject(chunk.logprobs)) choice.logprobs = mergeLogprobs(choice.logprobs, chunk.logprobs);
    if (chunk.finish_reason != null) choice.finish_reason = chunk.finish_reason;
  }
}

/** Logprobs come in pieces as the text does: their lists grow. */
function mergeLogprobs(before: JsonObject | null | undefined, more: JsonObject): JsonObject {
  if (before == null) return more;
  const merged: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(more)) {
    const old = merged[key];
    setMember(merged, key, Array.isArray(old) && Array.isArray(value) ? [...old, ...value] : value);
  }
  return merged;
}
