import { GatewayError } from '../../errors.ts';
import type { LlmChunk } from '../../plugin-api/llm.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import type { Assembler } from './surface.ts';

/** Puts a streamed message together from its events. */
export class MessageAssembler implements Assembler {
  readonly #blocks = new Map<number, Block>();
  #message: JsonObject = {};
  #delta: JsonObject = {};
  #usage: JsonObject = {};
  #error: JsonObject | null = null;

  add(chunk: LlmChunk): void {
    if (chunk.type === 'message_start' && isObject(chunk.message)) this.#start(chunk.message);
    else if (chunk.type === 'content_block_start') this.#startBlock(chunk);
    else if (chunk.type === 'content_block_delta') this.#blocks.get(indexOf(chunk))?.add(chunk.delta);
    else if (chunk.type === 'message_delta') this.#end(chunk);
    else if (chunk.type === 'error') this.#error = isObject(chunk.error) ? chunk.error : {};
  }

  /** @throws GatewayError `upstream_error`, when an error event has ended the stream: half a message is none */
  whole(): JsonObject {
    if (this.#error !== null) throw toFailure(this.#error);
    const { content: _content, usage: _usage, ...head } = this.#message;
    const blocks = [...this.#blocks].sort(([a], [b]) => a - b).map(([, block]) => block.whole());
    return { ...head, content: blocks, ...this.#delta, usage: this.#usage };
  }

  #start(message: JsonObject): void {
    this.#message = message;
    if (isObject(message.usage)) this.#usage = message.usage;
  }

  #startBlock(chunk: LlmChunk): void {
    this.#blocks.set(indexOf(chunk), new Block(isObject(chunk.content_block) ? chunk.content_block : {}));
  }

  #end({ delta, usage }: LlmChunk): void {
    if (isObject(delta)) this.#delta = { ...this.#delta, ...delta };
    // The counts are of the whole message; `null` says nothing of what the first event has counted.
    if (isObject(usage)) this.#usage = { ...this.#usage, ...counted(usage) };
  }
}

/** One content block: strings grow, citations gather. */
class Block {
  readonly #start: JsonObject;
  readonly #texts = new Map<TextMember, string>();
  readonly #citations: unknown[] = [];
  #input = '';

  constructor(start: JsonObject) {
    this.#start = start;
  }

  add(delta: unknown): void {
    if (!isObject(delta)) return;
    if (typeof delta.partial_json === 'string') this.#input += delta.partial_json;
    if (delta.citation !== undefined) this.#citations.push(delta.citation);
    for (const member of TEXT_MEMBERS) {
      const more = delta[member];
      if (typeof more === 'string') this.#texts.set(member, this.#textSoFar(member) + more);
    }
  }

  whole(): JsonObject {
    const block: Record<string, unknown> = { ...this.#start, ...Object.fromEntries(this.#texts) };
    if (this.#citations.length > 0) block.citations = this.#citations;
    if (this.#input !== '') block.input = parseInput(this.#input);
    return block;
  }

  #textSoFar(member: TextMember): string {
    const start = this.#start[member];
    return this.#texts.get(member) ?? (typeof start === 'string' ? start : '');
  }
}

const TEXT_MEMBERS = ['text', 'thinking', 'signature'] as const;

type TextMember = (typeof TEXT_MEMBERS)[number];

/** An input that `max_tokens` has cut is no JSON: whoever judges the message gets to see its text. */
function parseInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function indexOf({ index }: LlmChunk): number {
  return typeof index === 'number' ? index : 0;
}

function counted(usage: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null));
}

function toFailure({ type, message }: JsonObject): GatewayError {
  const kind = typeof type === 'string' ? ` (${type})` : '';
  const words = typeof message === 'string' ? `: ${message}` : '';
  return new GatewayError('upstream_error', `The upstream ended its answer with an error${kind}${words}`);
}
