import type { ErrorBody } from '../../errors.ts';
import type { LlmChunk, LlmUsage } from '../../plugin-api/llm.ts';
import { toAnthropicErrorBody } from '../../wire/dialect.ts';
import { typedFraming } from '../framing.ts';
import { isObject } from '../json-value.ts';
import { MessageAssembler } from './message-assembler.ts';
import { toMessageEvents } from './message-events.ts';
import { readMessageEvent } from './read-message.ts';
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
  read: readMessageEvent,
  assembler: () => new MessageAssembler(),
  replay: toMessageEvents,
});

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
