import type { LlmDeltaEvent, LlmFinishReason } from '../../plugin-api/llm-event.ts';
import { type JsonObject, setMember } from '../json-value.ts';

/** The way to a value in a JSON tree. */
export type Path = readonly (string | number)[];

export type TextKind = LlmDeltaEvent['type'];

/** Which tool a text is the input of. */
export interface ToolCallName {
  readonly id: string | null;
  readonly name: string | null;
}

/** A place in a surface's own event, or in its whole answer, where text stands. */
export interface TextSlot {
  readonly kind: TextKind;
  readonly choice: number;
  /** Names the text that this is a piece of: equal for all pieces of one text, whichever event they are in. */
  readonly part: string;
  /** The value is a JSON value of which this is the text. */
  readonly isJson: boolean;
  /** The event repeats the whole text once its pieces have been sent. */
  readonly repeats: boolean;
  readonly path: Path;
  readonly text: string;
  /** `null` where the event does not tell. */
  readonly tool: ToolCallName | null;
  /** What says the same in other words (the log probabilities of the text's tokens), and must not outlive a change. */
  readonly shadow: Path | null;
}

/** What there is for hooks and evaluators in one event of a surface, or in a whole answer. */
export interface AnswerReading {
  readonly texts: readonly TextSlot[];
  readonly finishes: readonly { readonly choice: number; readonly reason: LlmFinishReason }[];
  readonly error: { readonly message: string; readonly code: string | null } | null;
  /** There is something else that clients need, although no text is left. */
  readonly keeps: boolean;
}

/** A copy with another value at `path`; what is not on the way there is shared. */
export function replaceAt(root: JsonObject, path: Path, value: unknown): JsonObject {
  return replaced(root, path, 0, value) as JsonObject;
}

function replaced(node: unknown, path: Path, depth: number, value: unknown): unknown {
  const key = path[depth];
  if (key === undefined || typeof node !== 'object' || node === null) return value;
  if (Array.isArray(node)) {
    const items = [...(node as readonly unknown[])];
    items[key as number] = replaced(items[key as number], path, depth + 1, value);
    return items;
  }
  const copy: Record<string, unknown> = { ...node };
  setMember(copy, String(key), replaced(copy[key], path, depth + 1, value));
  return copy;
}
