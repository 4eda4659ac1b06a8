import type { LlmChunk } from '../../../plugin-api/llm.ts';
import type { JsonObject } from '../../json-value.ts';
import type { AnswerContext, AnswerHead, AnswerWriter, Block } from '../answer.ts';
import { type Finish, metadataText, type Usage } from '../canonical.ts';

const REASONS = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
  other: 'end_turn',
  error: 'end_turn',
  interrupted: 'end_turn',
} as const;

/**
 * Writes an answer as the events of Anthropic's Messages API. What the prompt has cost is known at the end only, and
 * stands in the last event but one.
 * Source: Anthropic's API reference, heading "Streaming messages".
 */
export class MessagesWriter implements AnswerWriter {
  readonly #id: string;

  constructor({ id }: AnswerContext) {
    this.#id = `msg_${id}`;
  }

  begin({ model }: AnswerHead): LlmChunk[] {
    const message = {
      id: this.#id,
      type: 'message',
      role: 'assistant',
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 0, output_tokens: 0 },
    };
    return [{ type: 'message_start', message }];
  }

  open(block: Block): LlmChunk[] {
    return [{ type: 'content_block_start', index: block.index, content_block: toBlock(block) }];
  }

  delta(block: Block, text: string): LlmChunk[] {
    if (block.kind === 'text') return [delta(block, { type: 'text_delta', text })];
    if (block.kind === 'reasoning') return [delta(block, { type: 'thinking_delta', thinking: text })];
    return [delta(block, { type: 'input_json_delta', partial_json: text })];
  }

  close(block: Block): LlmChunk[] {
    const stop = { type: 'content_block_stop', index: block.index };
    const signature = metadataText(block.metadata, 'anthropic', 'signature');
    if (block.kind !== 'reasoning' || signature === undefined) return [stop];
    return [delta(block, { type: 'signature_delta', signature }), stop];
  }

  finish({ finishReason, usage }: Finish): LlmChunk[] {
    return [
      {
        type: 'message_delta',
        delta: { stop_reason: REASONS[finishReason.unified], stop_sequence: null },
        usage: toUsage(usage),
      },
      { type: 'message_stop' },
    ];
  }
}

function toBlock({ kind, id, name, metadata }: Block): JsonObject {
  if (kind === 'text') return { type: 'text', text: '' };
  if (kind === 'tool') return { type: 'tool_use', id, name, input: {} };
  const data = metadataText(metadata, 'anthropic', 'redactedData');
  if (data !== undefined) return { type: 'redacted_thinking', data };
  return { type: 'thinking', thinking: '', signature: '' };
}

function delta({ index }: Block, fields: JsonObject): LlmChunk {
  return { type: 'content_block_delta', index, delta: fields };
}

/** Anthropic counts what went through a cache apart. */
function toUsage({ inputTokens, outputTokens }: Usage): JsonObject {
  const { total = 0, cacheRead = 0, cacheWrite = 0 } = inputTokens;
  return {
    input_tokens: inputTokens.noCache ?? Math.max(0, total - cacheRead - cacheWrite),
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cacheRead,
    output_tokens: outputTokens.total ?? 0,
  };
}
