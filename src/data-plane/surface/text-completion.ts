import type { LlmChunk, LlmUsage } from '../../plugin-api/llm.ts';
import { DONE_FRAMING } from '../framing.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import type { AnswerReading } from '../text/slot.ts';
import { wantsUsage } from './chat.ts';
import { type AssembledChoice, ChoiceAssembler, type ChoiceKind } from './choice-assembler.ts';
import { readChoices } from './read-choices.ts';
import type { StreamShape } from './surface.ts';
import { usageOf } from './usage.ts';

/** The streams of `/v1/completions`. A chunk has the shape of the whole. */
export const TEXT_COMPLETION_STREAM: StreamShape = Object.freeze({
  framing: DONE_FRAMING,
  usageOf: (chunk: LlmChunk, before: LlmUsage | null) => usageOf(chunk) ?? before,
  usageInFirst: false,
  read: readTextCompletion,
  assembler: () => new ChoiceAssembler(TEXT_CHOICES),
  replay: toChunks,
});

/** A chunk, or the whole: what the choices say. */
export function readTextCompletion(body: JsonObject): AnswerReading {
  return readChoices(body, 'text');
}

interface TextChoice extends AssembledChoice {
  text: string;
}

const TEXT_CHOICES: ChoiceKind<TextChoice> = Object.freeze({
  head: {},
  begin: (index: number) => ({ index, text: '', logprobs: null, finish_reason: null }),
  merge(choice: TextChoice, { text }: JsonObject) {
    if (typeof text === 'string') choice.text += text;
  },
});

function toChunks(body: JsonObject, request: JsonObject): LlmChunk[] {
  const { usage, ...rest } = body;
  const chunks: LlmChunk[] = [rest];
  if (wantsUsage(request) && isObject(usage)) chunks.push({ ...rest, choices: [], usage });
  return chunks;
}
