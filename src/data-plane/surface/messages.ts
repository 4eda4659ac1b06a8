import type { ErrorBody } from '../../errors.ts';
import type { LlmChunk, LlmUsage } from '../../plugin-api/llm.ts';
import { toAnthropicErrorBody } from '../../wire/dialect.ts';
import { typedFraming } from '../framing.ts';
import { isObject, type JsonObject, objectsIn, textsIn } from '../json-value.ts';
import { MessageAssembler } from './message-assembler.ts';
import { toMessageEvents } from './message-events.ts';
import type { StreamShape } from './surface.ts';
import { usageOf } from './usage.ts';

/** As Anthropic's own streams have it. */
const PING = Buffer.from('event: ping\ndata: {"type":"ping"}\n\n');

/**
 * The streams of `/v1/messages`. An `error` event ends one as `message_stop` does: there is nothing behind it.
 * Source: Anthropic's API reference, heading "Streaming messages".
 */
export const MESSAGE_STREAM: StreamShape = Object.freeze({
  framing: typedFraming(['message_stop', 'error'], toErrorEvent, PING),
  usageOf: usageSoFar,
  usageInFirst: true,
  assembler: () => new MessageAssembler(),
  replay: toMessageEvents,
});

/** Text, thinking, the input of tool calls, and what tools of the upstream have answered. */
export function textOfMessage(body: JsonObject): string {
  return objectsIn(body.content).flatMap(textsOfBlock).join('\n');
}

function textsOfBlock(block: JsonObject): string[] {
  const { text, thinking, input, content } = block;
  const nested = Array.isArray(content) ? content : [content];
  return [
    ...textsIn([text, thinking, isObject(input) ? JSON.stringify(input) : input]),
    ...nested.flatMap((inner) => (isObject(inner) ? textsOfBlock(inner) : textsIn([inner]))),
  ];
}

function toErrorEvent(body: ErrorBody, status: number, requestId: string): LlmChunk {
  return { ...toAnthropicErrorBody(body, status, requestId) };
}

/** The first event counts the prompt, a late one what was completed; its counts are of the whole, where it has them. */
function usageSoFar(chunk: LlmChunk, before: LlmUsage | null): LlmUsage | null {
  const { usage, message } = chunk;
  if (isObject(message)) return usageOf(message) ?? before;
  if (!isObject(usage)) return before;
  const { output_tokens: completed } = usage;
  const whole = usageOf(chunk);
  if (whole !== null || before === null || typeof completed !== 'number') return whole ?? before;
  return { ...before, completionTokens: completed, totalTokens: before.promptTokens + completed };
}
