import type { LlmChunk } from '../../../plugin-api/llm.ts';
import { isObject, type JsonObject, objectsIn } from '../../json-value.ts';
import { compact, type Finish, type Metadata, type StreamPart, type Usage } from '../canonical.ts';
import { countOf, type Decoder, textOf, toUpstreamError } from './decoder.ts';

type FinishReason = Finish['finishReason']['unified'];

const REASONS: ReadonlyMap<string, FinishReason> = new Map([
  ['stop', 'stop'],
  ['length', 'length'],
  ['tool_calls', 'tool-calls'],
  ['function_call', 'tool-calls'],
  ['content_filter', 'content-filter'],
]);

/**
 * Reads the chunks of a chat completion. Its reasoning, where there is any, comes in the members that compatible
 * servers have agreed on: `reasoning_content` or `reasoning`.
 * Source: OpenAI's API reference, heading "The chat completion chunk object".
 */
export class ChatDecoder implements Decoder {
  #open: 'text' | 'reasoning' | null = null;
  #blocks = 0;
  #described = false;
  readonly #calls = new Map<number, string>();
  #reason: string | null = null;
  #usage: JsonObject = {};

  push(chunk: LlmChunk): StreamPart[] {
    if (chunk.error != null) throw toUpstreamError(chunk.error);
    if (isObject(chunk.usage)) this.#usage = chunk.usage;
    const parts = this.#describe(chunk);
    const choice = objectsIn(chunk.choices).find(({ index }) => index === 0 || index === undefined);
    if (choice === undefined) return parts;
    if (isObject(choice.delta)) parts.push(...this.#delta(choice.delta));
    if (typeof choice.finish_reason === 'string') this.#reason = choice.finish_reason;
    return parts;
  }

  end(): StreamPart[] {
    const calls = [...this.#calls.values()];
    return [
      ...this.#close(),
      ...calls.map((id): StreamPart => ({ type: 'tool-input-end', id })),
      { type: 'finish', finishReason: this.#finishReason(), usage: toUsage(this.#usage) },
    ];
  }

  /** The first chunk says who answers. */
  #describe({ id, model, created }: LlmChunk): StreamPart[] {
    if (this.#described) return [];
    this.#described = true;
    const seconds = countOf(created);
    return [
      compact({
        type: 'response-metadata' as const,
        id: typeof id === 'string' ? id : undefined,
        modelId: typeof model === 'string' ? model : undefined,
        timestamp: seconds === undefined ? undefined : new Date(seconds * 1000),
      }),
    ];
  }

  #delta(delta: JsonObject): StreamPart[] {
    return [
      ...this.#speak('reasoning', textOf(delta.reasoning_content) || textOf(delta.reasoning)),
      ...this.#speak('text', textOf(delta.content)),
      ...this.#speak('text', textOf(delta.refusal)),
      ...objectsIn(delta.tool_calls).flatMap((call, at) => this.#call(call, at)),
    ];
  }

  #speak(kind: 'text' | 'reasoning', delta: string): StreamPart[] {
    if (delta === '') return [];
    const parts = this.#open === kind ? [] : this.#begin(kind);
    return [...parts, { type: `${kind}-delta`, id: this.#blockId(), delta }];
  }

  #begin(kind: 'text' | 'reasoning'): StreamPart[] {
    const parts = this.#close();
    this.#open = kind;
    this.#blocks++;
    return [...parts, { type: `${kind}-start`, id: this.#blockId() }];
  }

  #close(): StreamPart[] {
    const kind = this.#open;
    this.#open = null;
    return kind === null ? [] : [{ type: `${kind}-end`, id: this.#blockId() }];
  }

  /** A call's name and id come with its first delta. */
  #call(call: JsonObject, at: number): StreamPart[] {
    const index = countOf(call.index) ?? at;
    const called = isObject(call.function) ? call.function : {};
    const parts = this.#close();
    let id = this.#calls.get(index);
    if (id === undefined) {
      id = textOf(call.id) || `call_${index}`;
      this.#calls.set(index, id);
      const metadata = isObject(call.extra_content) ? (call.extra_content as Metadata) : undefined;
      const toolName = textOf(called.name);
      parts.push(compact({ type: 'tool-input-start' as const, id, toolName, providerMetadata: metadata }));
    }
    const delta = textOf(called.arguments);
    if (delta !== '') parts.push({ type: 'tool-input-delta', id, delta });
    return parts;
  }

  #blockId(): string {
    return `block-${this.#blocks}`;
  }

  /** Some servers say `stop` behind a tool call. */
  #finishReason(): Finish['finishReason'] {
    const raw = this.#reason ?? undefined;
    const reason = raw === undefined ? undefined : REASONS.get(raw);
    const unified = reason === 'stop' && this.#calls.size > 0 ? 'tool-calls' : (reason ?? 'other');
    return { unified, raw };
  }
}

function toUsage(usage: JsonObject): Usage {
  const input = countOf(usage.prompt_tokens);
  const output = countOf(usage.completion_tokens);
  const cacheRead = detail(usage.prompt_tokens_details, 'cached_tokens');
  const reasoning = detail(usage.completion_tokens_details, 'reasoning_tokens');
  return {
    inputTokens: {
      total: input,
      noCache: input === undefined ? undefined : input - (cacheRead ?? 0),
      cacheRead,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: output,
      text: output === undefined ? undefined : output - (reasoning ?? 0),
      reasoning,
    },
  };
}

function detail(details: unknown, name: string): number | undefined {
  return isObject(details) ? countOf(details[name]) : undefined;
}
