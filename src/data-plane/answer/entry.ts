import { GatewayError } from '../../errors.ts';
import type { LlmChunk } from '../../plugin-api/llm.ts';
import { isObject } from '../json-value.ts';
import { type AnswerReading, replaceAt, type TextSlot } from '../text/slot.ts';
import type { Parts, Piece } from './parts.ts';

/** One event of a surface on its way to the client, or a whole answer. */
export interface Entry {
  readonly chunk: LlmChunk;
  readonly reading: AnswerReading;
  readonly pieces: readonly Piece[];
  /** The event ends its stream. */
  readonly isLast: boolean;
  /** A hook has dropped it. */
  isDropped: boolean;
}

export function toEntry(chunk: LlmChunk, reading: AnswerReading, parts: Parts, isLast: boolean): Entry {
  const pieces: Piece[] = [];
  for (const slot of reading.texts) {
    const piece = parts.pieceOf(slot);
    if (piece !== null) pieces.push(piece);
  }
  return { chunk, reading, pieces, isLast, isDropped: false };
}

/** The event with the texts that hooks have left; the very same when they have changed none. */
export function asHooked({ chunk, pieces }: Entry): LlmChunk {
  let hooked = chunk;
  for (const { slot, text } of pieces) hooked = withText(hooked, slot, text);
  return hooked;
}

/** The event as it leaves; the very same when nobody has changed it, `null` when nothing is left of it. */
export function asSent(entry: Entry): LlmChunk | null {
  if (entry.isDropped) return null;
  let sent = entry.chunk;
  let isEmpty = true;
  for (const { slot, masked } of entry.pieces) {
    sent = withText(sent, slot, masked);
    isEmpty &&= masked === '';
  }
  return sent !== entry.chunk && isEmpty && !hasMore(entry) ? null : sent;
}

function hasMore({ reading, pieces, isLast }: Entry): boolean {
  if (isLast || reading.keeps || reading.finishes.length > 0 || reading.error !== null) return true;
  return pieces.some(({ slot }) => slot.tool !== null);
}

function withText(chunk: LlmChunk, slot: TextSlot, text: string): LlmChunk {
  if (text === slot.text) return chunk;
  const changed = replaceAt(chunk, slot.path, slot.isJson ? parseInput(text) : text);
  return slot.shadow === null ? changed : replaceAt(changed, slot.shadow, null);
}

/** What is left of a tool's input once it has been changed must still be one. */
function parseInput(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Said below.
  }
  throw new GatewayError('content_filter', 'The masked input of a tool call is no JSON object any more');
}
