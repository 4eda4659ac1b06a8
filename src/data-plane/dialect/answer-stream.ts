import type { LlmChunk } from '../../plugin-api/llm.ts';
import { type AnswerContext, type AnswerWriter, type Block, UnusableAnswer } from './answer.ts';
import type { Finish, Metadata, StreamPart } from './canonical.ts';

type Start = Extract<StreamPart, { type: 'text-start' | 'reasoning-start' | 'tool-input-start' }>;
type Delta = Extract<StreamPart, { type: 'text-delta' | 'reasoning-delta' | 'tool-input-delta' }>;
type End = Extract<StreamPart, { type: 'text-end' | 'reasoning-end' | 'tool-input-end' }>;
type ToolCall = Extract<StreamPart, { type: 'tool-call' }>;

/**
 * Brings canonical parts into the order that every dialect can write: one block after the other. Texts are closed when
 * something else begins. What comes beside an open tool call waits until the call is complete: its input could not be
 * taken up again.
 */
export class AnswerStream {
  readonly #writer: AnswerWriter;
  #model: string;
  #createdMs: number;
  #begun = false;
  #blocks = 0;
  #open: Block | null = null;
  /** The part's id of {@link #open}. */
  #openId = '';
  /** The open tool call has all its input; only a `tool-call` may still say something of it. */
  #complete = false;
  #waiting: StreamPart[] = [];
  readonly #calls = new Set<string>();
  /** The answer is complete. */
  finished = false;

  constructor(writer: AnswerWriter, context: AnswerContext) {
    this.#writer = writer;
    this.#model = context.model;
    this.#createdMs = context.now;
  }

  /**
   * The events for a part, none while it has to wait.
   *
   * @throws UnusableAnswer for parts that cannot be written
   */
  push(part: StreamPart): LlmChunk[] {
    if (part.type === 'response-metadata') return this.#describe(part);
    if (IGNORED.has(part.type)) return [];
    if (this.#mustWait(part)) {
      this.#waiting.push(part);
      return [];
    }
    switch (part.type) {
      case 'text-start':
      case 'reasoning-start':
      case 'tool-input-start':
        return this.#start(part);
      case 'text-delta':
      case 'reasoning-delta':
      case 'tool-input-delta':
        return this.#delta(part);
      case 'text-end':
      case 'reasoning-end':
      case 'tool-input-end':
        return this.#end(part);
      case 'tool-call':
        return this.#call(part);
      case 'finish':
        return this.#finish(part);
      default:
        throw new UnusableAnswer(`answered with a part of type "${part.type}", which cannot be carried`);
    }
  }

  #describe({ modelId, timestamp }: Extract<StreamPart, { type: 'response-metadata' }>): LlmChunk[] {
    if (modelId !== undefined && modelId !== '') this.#model = modelId;
    if (timestamp !== undefined) this.#createdMs = timestamp.getTime();
    return [];
  }

  #mustWait(part: StreamPart): boolean {
    if (this.#open?.kind !== 'tool' || this.#complete || part.type === 'finish') return false;
    return idOf(part) !== this.#openId;
  }

  #start(part: Start): LlmChunk[] {
    const kind = KINDS[part.type];
    if (kind !== 'tool') return this.#openBlock(kind, part.id, '', part.providerMetadata);
    const { id, toolName, providerMetadata, providerExecuted } = part as Extract<
      Start,
      { type: 'tool-input-start' }
    >;
    if (providerExecuted === true) throw ranAtProvider(toolName);
    this.#calls.add(id);
    return this.#openBlock('tool', id, toolName, providerMetadata);
  }

  #openBlock(kind: Block['kind'], id: string, name: string, metadata: Metadata | undefined): LlmChunk[] {
    const chunks = [...this.#begin(), ...this.#close()];
    const block = { kind, index: this.#blocks++, id, name, text: '', metadata };
    this.#open = block;
    this.#openId = id;
    return [...chunks, ...this.#writer.open(block)];
  }

  #delta({ type, id, delta, providerMetadata }: Delta): LlmChunk[] {
    const kind = KINDS[type];
    const isOpen = this.#open?.kind === kind && this.#openId === id;
    if (!isOpen && kind === 'tool') throw new UnusableAnswer('sent the input of a tool call out of turn');
    // A text that was closed for something else goes on as a new one.
    const chunks = isOpen ? [] : this.#openBlock(kind, id, '', undefined);
    const block = this.#open as Block;
    block.metadata = merge(block.metadata, providerMetadata);
    return delta === '' ? chunks : [...chunks, ...this.#write(block, delta)];
  }

  #write(block: Block, text: string): LlmChunk[] {
    block.text += text;
    return this.#writer.delta(block, text);
  }

  #end({ id, providerMetadata }: End): LlmChunk[] {
    const block = this.#open;
    if (block === null || this.#openId !== id) return [];
    block.metadata = merge(block.metadata, providerMetadata);
    if (block.kind !== 'tool') return this.#close();
    this.#complete = true;
    return this.#waiting.length === 0 ? [] : this.#goOn();
  }

  #call({ toolCallId, toolName, input, providerMetadata, providerExecuted }: ToolCall): LlmChunk[] {
    if (providerExecuted === true) throw ranAtProvider(toolName);
    if (this.#calls.has(toolCallId) && this.#openId !== toolCallId) return [];
    const chunks = this.#calls.has(toolCallId)
      ? []
      : this.#openBlock('tool', toolCallId, toolName, providerMetadata);
    this.#calls.add(toolCallId);
    const block = this.#open as Block;
    block.metadata = merge(block.metadata, providerMetadata);
    if (block.text === '' && input !== '') chunks.push(...this.#write(block, input));
    return [...chunks, ...this.#goOn()];
  }

  /** Closes the open block, and writes what has waited for it. */
  #goOn(): LlmChunk[] {
    const chunks = this.#close();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const part of waiting) chunks.push(...this.push(part));
    return chunks;
  }

  #close(): LlmChunk[] {
    const block = this.#open;
    if (block === null) return [];
    // A call without arguments has an input all the same.
    const chunks = block.kind === 'tool' && block.text === '' ? this.#write(block, '{}') : [];
    this.#open = null;
    this.#openId = '';
    this.#complete = false;
    return [...chunks, ...this.#writer.close(block)];
  }

  #finish(part: Finish): LlmChunk[] {
    const { unified } = part.finishReason;
    if (unified === 'error' || unified === 'interrupted') {
      throw new UnusableAnswer('ended its answer before it was complete');
    }
    const chunks = this.#begin();
    do chunks.push(...this.#goOn());
    while (this.#open !== null || this.#waiting.length > 0);
    this.finished = true;
    return [...chunks, ...this.#writer.finish(part)];
  }

  #begin(): LlmChunk[] {
    if (this.#begun) return [];
    this.#begun = true;
    return this.#writer.begin({ model: this.#model, created: Math.floor(this.#createdMs / 1000) });
  }
}

/**
 * What is no content. Sources have no place in two of the dialects, and the text says what was found in them; packages
 * wrap accounts of their own into custom parts.
 */
const IGNORED: ReadonlySet<StreamPart['type']> = new Set(['stream-start', 'ping', 'raw', 'source', 'custom']);

const KINDS = {
  'text-start': 'text',
  'text-delta': 'text',
  'reasoning-start': 'reasoning',
  'reasoning-delta': 'reasoning',
  'tool-input-start': 'tool',
  'tool-input-delta': 'tool',
} as const;

function idOf(part: StreamPart): string | undefined {
  if (part.type === 'tool-call') return part.toolCallId;
  return 'id' in part ? part.id : undefined;
}

function ranAtProvider(name: string): UnusableAnswer {
  return new UnusableAnswer(`ran the tool "${name}" itself, which cannot be carried`);
}

function merge(before: Metadata | undefined, more: Metadata | undefined): Metadata | undefined {
  if (before === undefined || more === undefined) return more ?? before;
  const merged = { ...before };
  for (const [provider, values] of Object.entries(more)) {
    merged[provider] = { ...merged[provider], ...values };
  }
  return merged;
}
