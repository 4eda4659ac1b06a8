import type { LlmChunk } from '../../../plugin-api/llm.ts';
import { isObject, type JsonObject } from '../../json-value.ts';
import type { AnswerContext, AnswerHead, AnswerWriter, Block } from '../answer.ts';
import type { Finish, Usage } from '../canonical.ts';
import { sealReasoning } from './responses-reasoning.ts';

/**
 * Writes an answer as the events of the Responses API.
 * Source: OpenAI's API reference, heading "Streaming events".
 */
export class ResponsesWriter implements AnswerWriter {
  readonly #id: string;
  readonly #request: JsonObject;
  readonly #output: JsonObject[] = [];
  #head: AnswerHead = { model: '', created: 0 };
  #sequence = 0;

  constructor({ id, request }: AnswerContext) {
    this.#id = id;
    this.#request = request;
  }

  begin(head: AnswerHead): LlmChunk[] {
    this.#head = head;
    const response = this.#response('in_progress', null);
    return [this.#event('response.created', { response }), this.#event('response.in_progress', { response })];
  }

  open(block: Block): LlmChunk[] {
    const added = this.#item('response.output_item.added', toItem(this.#itemId(block), block, 'in_progress'));
    if (block.kind !== 'text') return [added];
    return [added, this.#part('response.content_part.added', block, { part: toTextPart('') })];
  }

  delta(block: Block, text: string): LlmChunk[] {
    if (block.kind === 'text') {
      return [this.#part('response.output_text.delta', block, { delta: text, logprobs: [] })];
    }
    if (block.kind === 'tool') {
      return [this.#inItem('response.function_call_arguments.delta', block, { delta: text })];
    }
    const delta = this.#summary('response.reasoning_summary_text.delta', block, { delta: text });
    if (block.text !== text) return [delta];
    const part = { type: 'summary_text', text: '' };
    return [this.#summary('response.reasoning_summary_part.added', block, { part }), delta];
  }

  close(block: Block): LlmChunk[] {
    const item = toItem(this.#itemId(block), block, 'completed');
    const chunks = this.#endOf(block);
    chunks.push(this.#item('response.output_item.done', item));
    this.#output.push(item);
    return chunks;
  }

  finish({ finishReason, usage }: Finish): LlmChunk[] {
    const reason = INCOMPLETE.get(finishReason.unified);
    const status = reason === undefined ? 'completed' : 'incomplete';
    const details = reason === undefined ? null : { reason };
    const response = { ...this.#response(status, toUsage(usage)), incomplete_details: details };
    return [this.#event(`response.${status}`, { response })];
  }

  #endOf(block: Block): LlmChunk[] {
    const { text } = block;
    if (block.kind === 'text') {
      return [
        this.#part('response.output_text.done', block, { text, logprobs: [] }),
        this.#part('response.content_part.done', block, { part: toTextPart(text) }),
      ];
    }
    if (block.kind === 'tool') {
      const call = { name: block.name, arguments: text };
      return [this.#inItem('response.function_call_arguments.done', block, call)];
    }
    if (text === '') return [];
    return [
      this.#summary('response.reasoning_summary_text.done', block, { text }),
      this.#summary('response.reasoning_summary_part.done', block, { part: { type: 'summary_text', text } }),
    ];
  }

  #item(type: string, item: JsonObject): LlmChunk {
    return this.#event(type, { output_index: this.#output.length, item });
  }

  #inItem(type: string, block: Block, fields: JsonObject): LlmChunk {
    return this.#event(type, { item_id: this.#itemId(block), output_index: this.#output.length, ...fields });
  }

  #part(type: string, block: Block, fields: JsonObject): LlmChunk {
    return this.#inItem(type, block, { content_index: 0, ...fields });
  }

  #summary(type: string, block: Block, fields: JsonObject): LlmChunk {
    return this.#inItem(type, block, { summary_index: 0, ...fields });
  }

  #event(type: string, fields: JsonObject): LlmChunk {
    return { type, sequence_number: this.#sequence++, ...fields };
  }

  #itemId({ kind, index }: Block): string {
    return `${ITEM_PREFIXES[kind]}_${this.#id}_${index}`;
  }

  /** The answer so far, with the settings that the client has asked for. */
  #response(status: string, usage: JsonObject | null): JsonObject {
    const request = this.#request;
    return {
      id: `resp_${this.#id}`,
      object: 'response',
      created_at: this.#head.created,
      status,
      error: null,
      incomplete_details: null,
      instructions: request.instructions ?? null,
      max_output_tokens: request.max_output_tokens ?? null,
      metadata: isObject(request.metadata) ? request.metadata : {},
      model: this.#head.model,
      output: [...this.#output],
      parallel_tool_calls: request.parallel_tool_calls ?? true,
      previous_response_id: null,
      reasoning: isObject(request.reasoning) ? request.reasoning : { effort: null, summary: null },
      store: false,
      temperature: request.temperature ?? null,
      text: isObject(request.text) ? request.text : { format: { type: 'text' } },
      tool_choice: request.tool_choice ?? 'auto',
      tools: Array.isArray(request.tools) ? request.tools : [],
      top_p: request.top_p ?? null,
      truncation: 'disabled',
      usage,
    };
  }
}

const ITEM_PREFIXES = { text: 'msg', reasoning: 'rs', tool: 'fc' } as const;

const INCOMPLETE: ReadonlyMap<string, string> = new Map([
  ['length', 'max_output_tokens'],
  ['content-filter', 'content_filter'],
]);

function toItem(id: string, block: Block, status: 'in_progress' | 'completed'): JsonObject {
  const { kind, text, metadata } = block;
  const isDone = status === 'completed';
  if (kind === 'text') {
    return { id, type: 'message', status, role: 'assistant', content: isDone ? [toTextPart(text)] : [] };
  }
  if (kind === 'tool') {
    return { id, type: 'function_call', status, call_id: block.id, name: block.name, arguments: text };
  }
  const summary = text === '' ? [] : [{ type: 'summary_text', text }];
  return { id, type: 'reasoning', summary, encrypted_content: isDone ? sealReasoning(metadata) : null };
}

function toTextPart(text: string): JsonObject {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

function toUsage({ inputTokens, outputTokens }: Usage): JsonObject {
  const input = inputTokens.total ?? 0;
  const output = outputTokens.total ?? 0;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: inputTokens.cacheRead ?? 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: outputTokens.reasoning ?? 0 },
    total_tokens: input + output,
  };
}
