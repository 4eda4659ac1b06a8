import type { LlmChunk } from '../../../plugin-api/llm.ts';
import { isObject, type JsonObject } from '../../json-value.ts';
import { UnusableAnswer } from '../answer.ts';
import { compact, type Finish, type StreamPart, type Usage } from '../canonical.ts';
import { countOf, type Decoder, textOf, toUpstreamError } from './decoder.ts';

type FinishReason = Finish['finishReason']['unified'];

const REASONS: ReadonlyMap<string, FinishReason> = new Map([
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['pause_turn', 'stop'],
  ['tool_use', 'tool-calls'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['refusal', 'content-filter'],
]);

/**
 * Reads the events of a message.
 * Source: Anthropic's API reference, heading "Streaming messages".
 */
export class MessagesDecoder implements Decoder {
  readonly #blocks = new Map<number, OpenBlock>();
  #usage: JsonObject = {};
  #reason: string | null = null;

  push(chunk: LlmChunk): StreamPart[] {
    switch (chunk.type) {
      case 'message_start':
        return this.#start(isObject(chunk.message) ? chunk.message : {});
      case 'content_block_start':
        return this.#startBlock(indexOf(chunk), isObject(chunk.content_block) ? chunk.content_block : {});
      case 'content_block_delta':
        return this.#delta(indexOf(chunk), isObject(chunk.delta) ? chunk.delta : {});
      case 'content_block_stop':
        return this.#stopBlock(indexOf(chunk));
      case 'message_delta':
        return this.#messageDelta(chunk);
      case 'message_stop':
        return [this.#finish()];
      case 'error':
        throw toUpstreamError(chunk.error);
      default:
        return [];
    }
  }

  /** The dialect ends with an event of its own. */
  end(): StreamPart[] {
    return [];
  }

  #start({ id, model, usage }: JsonObject): StreamPart[] {
    if (isObject(usage)) this.#usage = usage;
    return [
      compact({
        type: 'response-metadata' as const,
        id: typeof id === 'string' ? id : undefined,
        modelId: typeof model === 'string' ? model : undefined,
      }),
    ];
  }

  #startBlock(index: number, block: JsonObject): StreamPart[] {
    const open = toBlock(String(index), block);
    if (open === null) {
      const type = JSON.stringify(block.type ?? null);
      throw new UnusableAnswer(`answered with a block of type ${type}, which cannot be carried`);
    }
    this.#blocks.set(index, open);
    const { id, kind, redactedData } = open;
    if (redactedData !== null) {
      return [{ type: 'reasoning-start', id, providerMetadata: { anthropic: { redactedData } } }];
    }
    if (kind === 'tool-input') return [{ type: 'tool-input-start', id, toolName: textOf(block.name) }];
    const begun = textOf(kind === 'text' ? block.text : block.thinking);
    const start: StreamPart = { type: `${kind}-start`, id };
    return begun === '' ? [start] : [start, { type: `${kind}-delta`, id, delta: begun }];
  }

  #delta(index: number, delta: JsonObject): StreamPart[] {
    const block = this.#blocks.get(index);
    if (block === undefined) return [];
    if (delta.type === 'signature_delta') block.signature += textOf(delta.signature);
    const text = textOf(delta.text) || textOf(delta.thinking) || textOf(delta.partial_json);
    return text === '' ? [] : [{ type: `${block.kind}-delta`, id: block.id, delta: text }];
  }

  #stopBlock(index: number): StreamPart[] {
    const block = this.#blocks.get(index);
    if (block === undefined) return [];
    this.#blocks.delete(index);
    const { id, kind, signature } = block;
    if (signature === '') return [{ type: `${kind}-end`, id }];
    return [{ type: `${kind}-end`, id, providerMetadata: { anthropic: { signature } } }];
  }

  #messageDelta({ delta, usage }: LlmChunk): StreamPart[] {
    if (isObject(delta) && typeof delta.stop_reason === 'string') this.#reason = delta.stop_reason;
    if (isObject(usage)) {
      const counted = Object.entries(usage).filter(([, value]) => value !== null);
      this.#usage = { ...this.#usage, ...Object.fromEntries(counted) };
    }
    return [];
  }

  #finish(): Finish {
    const raw = this.#reason ?? undefined;
    const unified = (raw === undefined ? undefined : REASONS.get(raw)) ?? 'other';
    return { type: 'finish', finishReason: { unified, raw }, usage: toUsage(this.#usage) };
  }
}

interface OpenBlock {
  readonly id: string;
  readonly kind: 'text' | 'reasoning' | 'tool-input';
  readonly redactedData: string | null;
  signature: string;
}

/** `null` for blocks of tools that run at Anthropic: no crossing asks for them. */
function toBlock(index: string, { type, id, data, signature }: JsonObject): OpenBlock | null {
  const block = { id: index, redactedData: null, signature: textOf(signature) };
  if (type === 'text') return { ...block, kind: 'text' };
  if (type === 'thinking') return { ...block, kind: 'reasoning' };
  if (type === 'redacted_thinking') return { ...block, kind: 'reasoning', redactedData: textOf(data) };
  return type === 'tool_use' ? { ...block, id: textOf(id), kind: 'tool-input' } : null;
}

function indexOf({ index }: LlmChunk): number {
  return countOf(index) ?? 0;
}

/** Anthropic counts what went through its cache apart. */
function toUsage(usage: JsonObject): Usage {
  const noCache = countOf(usage.input_tokens);
  const cacheRead = countOf(usage.cache_read_input_tokens);
  const cacheWrite = countOf(usage.cache_creation_input_tokens);
  const output = countOf(usage.output_tokens);
  const total = noCache === undefined ? undefined : noCache + (cacheRead ?? 0) + (cacheWrite ?? 0);
  return {
    inputTokens: { total, noCache, cacheRead, cacheWrite },
    outputTokens: { total: output, text: output, reasoning: undefined },
  };
}
