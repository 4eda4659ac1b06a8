import { isObject, type JsonObject } from '../json-value.ts';
import type { Path, TextKind, TextSlot, ToolCallName } from './slot.ts';

/** What programs have chosen, and binary data. Everything else is text: a guard must see what clients will show. */
const NO_TEXT: ReadonlySet<string> = new Set([
  'role',
  'type',
  'id',
  'object',
  'name',
  'status',
  'index',
  'model',
  'phase',
  'format',
  'media_type',
  'mime_type',
  'signature',
  'encrypted_content',
  'data',
  'result',
  'b64_json',
  'partial_image_b64',
]);

const TOOL_INPUTS: ReadonlySet<string> = new Set(['arguments', 'input', 'code', 'partial_json']);

/**
 * Finds all texts in the parts of an answer. A text is called by its path, where members of a list that carry an
 * `index` go by that: so the pieces of a stream and the whole that repeats them come to the same name.
 */
export class TextCollector {
  readonly slots: TextSlot[] = [];
  /** What goes into the slots that are found next. */
  choice = 0;
  repeats = false;
  shadow: Path | null = null;

  /** @param part names `value` among the parts of all choices */
  collect(
    value: unknown,
    path: Path,
    part: string,
    kind: TextKind = 'text',
    tool: ToolCallName | null = null,
  ): void {
    if (typeof value === 'string') this.add(value, path, part, kind, tool);
    else if (Array.isArray(value)) {
      for (let at = 0; at < value.length; at++) {
        const item: unknown = value[at];
        const place = isObject(item) && typeof item.index === 'number' ? item.index : at;
        this.collect(item, [...path, at], `${part}/${place}`, kind, tool);
      }
    } else if (isObject(value)) this.#members(value, path, part, kind, tool);
  }

  add(
    text: string,
    path: Path,
    part: string,
    kind: TextKind,
    tool: ToolCallName | null = null,
    isJson = false,
  ): void {
    // A call is announced by its first piece, which may be empty.
    if (text === '' && (kind !== 'tool-input' || tool === null)) return;
    const { choice, repeats, shadow } = this;
    this.slots.push({ kind, choice, part, isJson, repeats, path, text, tool, shadow });
  }

  #members(
    value: JsonObject,
    path: Path,
    part: string,
    inherited: TextKind,
    inheritedTool: ToolCallName | null,
  ): void {
    const kind = typeof value.type === 'string' && isThought(value.type) ? 'reasoning' : inherited;
    const tool = toolOf(value, inheritedTool);
    for (const key of Object.keys(value)) {
      const member = value[key];
      if (member === null || NO_TEXT.has(key) || key.endsWith('_id')) continue;
      this.collect(member, [...path, key], `${part}/${key}`, kindOf(key, kind), tool);
    }
  }
}

function kindOf(key: string, inherited: TextKind): TextKind {
  if (TOOL_INPUTS.has(key)) return 'tool-input';
  return isThought(key) ? 'reasoning' : inherited;
}

function isThought(word: string): boolean {
  return word.startsWith('reasoning') || word.startsWith('thinking');
}

export function toolOf(value: JsonObject, inherited: ToolCallName | null): ToolCallName | null {
  const { call_id: callId, id, name } = value;
  const ownId = typeof callId === 'string' ? callId : id;
  if (typeof ownId !== 'string' && typeof name !== 'string') return inherited;
  return {
    id: typeof ownId === 'string' ? ownId : (inherited?.id ?? null),
    name: typeof name === 'string' ? name : (inherited?.name ?? null),
  };
}
