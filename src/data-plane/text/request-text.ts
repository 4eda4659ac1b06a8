import type { MaskSpan } from '../../plugin-api/evaluator.ts';
import { isObject, type JsonObject, setMember } from '../json-value.ts';
import { JoinedText } from './joined-text.ts';
import { applyMasks } from './masks.ts';
import type { Path } from './slot.ts';

/** All texts of a request's body, joined by line feeds: see `LlmRequest.text`. */
export function textOfRequest(body: JsonObject): string {
  return joined(textsOf(body)).text;
}

/** The body with those stretches of {@link textOfRequest} masked. */
export function maskRequest(body: JsonObject, spans: readonly MaskSpan[]): JsonObject {
  // One copy for all: there may be as many masks as texts.
  const masked = structuredClone(body);
  for (const [{ path, text }, masks] of joined(textsOf(body)).split(spans)) {
    if (masks.length > 0) setAt(masked, path, applyMasks(text, masks));
  }
  return masked;
}

/** A text's path leads to it; keys of JSON may be `__proto__`. */
function setAt(root: JsonObject, path: Path, text: string): void {
  let node: unknown = root;
  for (const key of path.slice(0, -1)) node = (node as Record<string | number, unknown>)[key];
  setMember(node as Record<string, unknown>, String(path.at(-1)), text);
}

interface RequestText {
  readonly path: Path;
  readonly text: string;
}

/** What names and refers, and what only programs read. Whatever else a client writes is text, also where we know it not. */
const NO_TEXT: ReadonlySet<string> = new Set([
  'model',
  'role',
  'type',
  'id',
  'object',
  'encrypted_content',
  'signature',
  'b64_json',
]);

/** Members that may hold a file: as a data URL, or as base64 beside the member that says so. */
const FILES: ReadonlySet<string> = new Set(['data', 'url', 'image_url', 'file_data', 'file_url']);

function joined(texts: readonly RequestText[]): JoinedText<RequestText> {
  return new JoinedText(texts.map((each) => [each, each.text]));
}

function textsOf(body: JsonObject): RequestText[] {
  const texts: RequestText[] = [];
  collect(body, [], texts);
  return texts;
}

function collect(value: unknown, path: Path, texts: RequestText[]): void {
  if (typeof value === 'string') texts.push({ path, text: value });
  else if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) collect(item, [...path, at], texts);
  } else if (isObject(value)) {
    for (const key of Object.keys(value)) {
      if (!isNoText(value, key)) collect(value[key], [...path, key], texts);
    }
  }
}

function isNoText(object: JsonObject, key: string): boolean {
  return NO_TEXT.has(key) || key.endsWith('_id') || (FILES.has(key) && isFile(object, key));
}

function isFile(object: JsonObject, key: string): boolean {
  const value = object[key];
  if (typeof value !== 'string') return false;
  if (/^data:[^,]{0,200};base64,/.test(value)) return true;
  // Anthropic: `source: { type: 'base64', data }`. OpenAI: `input_audio: { data, format }`.
  return key === 'data' && (object.type === 'base64' || typeof object.format === 'string');
}
