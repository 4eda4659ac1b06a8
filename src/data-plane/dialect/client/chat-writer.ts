import type { LlmChunk } from '../../../plugin-api/llm.ts';
import type { JsonObject } from '../../json-value.ts';
import { wantsUsage } from '../../surface/chat.ts';
import type { AnswerContext, AnswerHead, AnswerWriter, Block } from '../answer.ts';
import { type Finish, metadataText, type Usage } from '../canonical.ts';

const REASONS = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
  other: 'stop',
  error: 'stop',
  interrupted: 'stop',
} as const;

/**
 * Writes an answer as chunks of a chat completion. Reasoning goes into `reasoning_content`, and with its signatures
 * into `thinking_blocks`: clients of LiteLLM know both.
 * Source: OpenAI's API reference, heading "The chat completion chunk object".
 */
export class ChatWriter implements AnswerWriter {
  readonly #id: string;
  readonly #withUsage: boolean;
  #head: JsonObject = {};
  #begun = false;
  #calls = 0;

  constructor({ id, request, stream }: AnswerContext) {
    this.#id = `chatcmpl-${id}`;
    this.#withUsage = !stream || wantsUsage(request);
  }

  begin({ model, created }: AnswerHead): LlmChunk[] {
    this.#head = { id: this.#id, object: 'chat.completion.chunk', created, model };
    return [];
  }

  open(block: Block): LlmChunk[] {
    const chunks = this.#role(block.kind);
    if (block.kind !== 'tool') return chunks;
    const call = { id: block.id, type: 'function', function: { name: block.name, arguments: '' } };
    return [...chunks, this.#chunk({ tool_calls: [{ index: this.#calls++, ...call }] })];
  }

  delta({ kind }: Block, text: string): LlmChunk[] {
    if (kind === 'text') return [this.#chunk({ content: text })];
    if (kind === 'reasoning') return [this.#chunk({ reasoning_content: text })];
    return [this.#chunk({ tool_calls: [{ index: this.#calls - 1, function: { arguments: text } }] })];
  }

  close(block: Block): LlmChunk[] {
    if (block.kind === 'text' || block.metadata === undefined) return [];
    if (block.kind === 'tool') {
      const call = { index: this.#calls - 1, extra_content: block.metadata };
      return [this.#chunk({ tool_calls: [call] })];
    }
    const thinking = toThinkingBlock(block);
    return thinking === null ? [] : [this.#chunk({ thinking_blocks: [thinking] })];
  }

  finish({ finishReason, usage }: Finish): LlmChunk[] {
    const chunks = [...this.#role('text'), this.#chunk({}, REASONS[finishReason.unified])];
    if (this.#withUsage) chunks.push({ ...this.#head, choices: [], usage: toUsage(usage) });
    return chunks;
  }

  /** The first chunk names the role; of an answer that has no text the content is `null`. */
  #role(kind: Block['kind']): LlmChunk[] {
    if (this.#begun) return [];
    this.#begun = true;
    return [this.#chunk({ role: 'assistant', content: kind === 'text' ? '' : null, refusal: null })];
  }

  #chunk(delta: JsonObject, reason: string | null = null): LlmChunk {
    return { ...this.#head, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] };
  }
}

function toThinkingBlock({ text, metadata }: Block): JsonObject | null {
  const data = metadataText(metadata, 'anthropic', 'redactedData');
  if (data !== undefined) return { type: 'redacted_thinking', data };
  const signature = metadataText(metadata, 'anthropic', 'signature');
  return signature === undefined ? null : { type: 'thinking', thinking: text, signature };
}

function toUsage({ inputTokens, outputTokens }: Usage): JsonObject {
  const prompt = inputTokens.total ?? 0;
  const completion = outputTokens.total ?? 0;
  const { cacheRead } = inputTokens;
  const { reasoning } = outputTokens;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    ...(cacheRead === undefined ? {} : { prompt_tokens_details: { cached_tokens: cacheRead } }),
    ...(reasoning === undefined ? {} : { completion_tokens_details: { reasoning_tokens: reasoning } }),
  };
}
