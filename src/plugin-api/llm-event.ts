import type { LlmChunk, LlmUsage } from './llm.ts';

/** Why an answer ended, whatever the surface calls it: the reasons of the AI SDK's provider specification. */
export type LlmFinishReason = 'stop' | 'length' | 'content-filter' | 'tool-calls' | 'error' | 'other';

interface EventBase {
  /** Index of the choice that the event belongs to; 0 on surfaces that have one answer only. */
  readonly choice: number;
  /** The surface's own event, or the whole answer when it is not streamed. Frozen. */
  readonly raw: LlmChunk;
}

interface DeltaBase extends EventBase {
  /** Which text of this type in this choice: 0 for the first one, 1 for the second, … */
  readonly index: number;
  /** The piece; the whole text when the answer is not streamed. */
  readonly text: string;
}

/** A piece of what the model says, a refusal included. */
export interface LlmTextEvent extends DeltaBase {
  readonly type: 'text';
}

/** A piece of what the model thinks. */
export interface LlmReasoningEvent extends DeltaBase {
  readonly type: 'reasoning';
}

/** A piece of a tool call's arguments. The first piece of a call may be empty: it announces the call. */
export interface LlmToolInputEvent extends DeltaBase {
  readonly type: 'tool-input';
  /** The id of the tool call; `null` while none is known. */
  readonly id: string | null;
  /** The name of the tool; `null` while none is known. */
  readonly name: string | null;
}

/** A piece of text that an answer is made of. */
export type LlmDeltaEvent = LlmTextEvent | LlmReasoningEvent | LlmToolInputEvent;

/** Comes once, before the first delta. */
export interface LlmFirstTokenEvent extends EventBase {
  readonly type: 'first-token';
}

/** A choice is complete. */
export interface LlmFinishEvent extends EventBase {
  readonly type: 'finish';
  readonly reason: LlmFinishReason;
}

export interface LlmUsageEvent extends EventBase {
  readonly type: 'usage';
  readonly usage: LlmUsage;
}

/** The upstream tells of a failure within its answer. */
export interface LlmErrorEvent extends EventBase {
  readonly type: 'error';
  readonly message: string;
  readonly code: string | null;
}

/** An event of the surface that carries none of the others. */
export interface LlmOtherEvent extends EventBase {
  readonly type: 'other';
}

/** One event of an answer, the same on every surface, streamed or not. Frozen. */
export type LlmEvent =
  | LlmFirstTokenEvent
  | LlmDeltaEvent
  | LlmFinishEvent
  | LlmUsageEvent
  | LlmErrorEvent
  | LlmOtherEvent;

/** A delta as `onChunk` may return it: which text it belongs to, and the piece. More members do no harm. */
export interface LlmDelta {
  readonly type: LlmDeltaEvent['type'];
  readonly choice: number;
  readonly index: number;
  readonly text: string;
}

/**
 * What `onChunk` may return.
 *
 * - nothing, or the event itself: it goes on as it is
 * - a delta of the same text with other words: they go on instead
 * - `null`: a delta is held back, and dropped unless it is among what the hook returns later; an event of type `usage`
 *   or `other` is dropped; the others cannot be
 * - a list: what goes on in place of the event, with deltas that were held back. At `finish`, all that is still held
 *   may be in it, the rest of pieces that went on in part included. An event that is no delta goes on unless the list is empty
 */
export type LlmEventResult = LlmEvent | LlmDelta | readonly (LlmEvent | LlmDelta)[] | null | undefined | void;
