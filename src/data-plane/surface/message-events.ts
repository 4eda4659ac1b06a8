import type { LlmChunk } from '../../plugin-api/llm.ts';
import { isObject, type JsonObject, objectsIn } from '../json-value.ts';

/** A whole message as the events of a stream: the start, each block from its beginning to its end, and the end. */
export function toMessageEvents(body: JsonObject): LlmChunk[] {
  const { stop_reason, stop_sequence, usage, content, ...head } = body;
  const counts = isObject(usage) ? usage : {};
  const begun = { ...head, content: [], stop_reason: null, stop_sequence: null };
  return [
    { type: 'message_start', message: { ...begun, usage: { ...counts, output_tokens: 0 } } },
    ...objectsIn(content).flatMap(toBlockEvents),
    {
      type: 'message_delta',
      delta: { stop_reason: stop_reason ?? 'end_turn', stop_sequence: stop_sequence ?? null },
      usage: counts,
    },
    { type: 'message_stop' },
  ];
}

function toBlockEvents(block: JsonObject, index: number): LlmChunk[] {
  const { begun, deltas } = unfold(block);
  return [
    { type: 'content_block_start', index, content_block: begun },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ];
}

interface Unfolded {
  readonly begun: JsonObject;
  readonly deltas: readonly JsonObject[];
}

/** What grows in a stream comes in deltas; a block of any other kind comes whole in its first event. */
function unfold(block: JsonObject): Unfolded {
  if (typeof block.thinking === 'string') return unfoldThinking(block, block.thinking);
  if (typeof block.text === 'string') return unfoldText(block, block.text);
  if (!isObject(block.input)) return { begun: block, deltas: [] };
  const partial = { type: 'input_json_delta', partial_json: JSON.stringify(block.input) };
  return { begun: { ...block, input: {} }, deltas: [partial] };
}

function unfoldText({ citations, ...block }: JsonObject, text: string): Unfolded {
  const cited = objectsIn(citations).map((citation) => ({ type: 'citations_delta', citation }));
  const begun = { ...block, text: '', ...(cited.length === 0 ? {} : { citations: [] }) };
  return { begun, deltas: [{ type: 'text_delta', text }, ...cited] };
}

function unfoldThinking(block: JsonObject, thinking: string): Unfolded {
  const { signature } = block;
  const deltas: JsonObject[] = [{ type: 'thinking_delta', thinking }];
  if (typeof signature === 'string') deltas.push({ type: 'signature_delta', signature });
  return { begun: { ...block, thinking: '', signature: '' }, deltas };
}
