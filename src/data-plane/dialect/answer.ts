import type { LlmChunk } from '../../plugin-api/llm.ts';
import type { JsonObject } from '../json-value.ts';
import type { Finish, Metadata } from './canonical.ts';

/** What an answer is told of besides its parts. */
export interface AnswerContext {
  /** The request's id: answers get theirs from it. */
  readonly id: string;
  /** The model's name, should the upstream not say it. */
  readonly model: string;
  /** Epoch milliseconds, should the upstream not say when it began. */
  readonly now: number;
  /** The client's body. */
  readonly request: JsonObject;
  /** Whether the client gets the events; otherwise they are put together first. */
  readonly stream: boolean;
}

/** Who answers. */
export interface AnswerHead {
  readonly model: string;
  /** Epoch seconds. */
  readonly created: number;
}

/** A piece of an answer: a text, reasoning, or a call of a tool. One is open at a time. */
export interface Block {
  readonly kind: 'text' | 'reasoning' | 'tool';
  /** Counts the blocks of the answer. */
  readonly index: number;
  /** Of a tool: the call's id. */
  readonly id: string;
  /** Of a tool. */
  readonly name: string;
  /** All deltas so far. */
  text: string;
  metadata: Metadata | undefined;
}

/** Writes an answer as the events of a client's dialect. One for each answer. */
export interface AnswerWriter {
  /** Before all else. */
  begin(head: AnswerHead): LlmChunk[];
  open(block: Block): LlmChunk[];
  /** `text` is in the block already. */
  delta(block: Block, text: string): LlmChunk[];
  close(block: Block): LlmChunk[];
  /** Behind all else. */
  finish(finish: Finish): LlmChunk[];
}

/** What no dialect of clients can carry, or what makes no answer. The message completes "The upstream …". */
export class UnusableAnswer extends Error {
  override readonly name = 'UnusableAnswer';
}
