import type { LlmChunk, LlmUsage } from '../../plugin-api/llm.ts';
import { typedFraming } from '../framing.ts';
import { isObject, type JsonObject, objectsIn } from '../json-value.ts';
import { readResponseEvent } from './read-response.ts';
import type { Assembler, StreamShape } from './surface.ts';
import { usageOf } from './usage.ts';

/**
 * The streams of `/v1/responses`. The event that ends one carries the whole answer.
 * Source: OpenAI's API reference, heading "Streaming events".
 */
export const RESPONSE_STREAM: StreamShape = Object.freeze({
  framing: typedFraming(['response.completed', 'response.failed', 'response.incomplete']),
  usageOf: ({ response }: LlmChunk, before: LlmUsage | null) =>
    (isObject(response) ? usageOf(response) : null) ?? before,
  usageInFirst: false,
  read: readResponseEvent,
  assembler: () => new ResponseAssembler(),
  replay: toEvents,
});

class ResponseAssembler implements Assembler {
  readonly #items: JsonObject[] = [];
  #response: JsonObject = {};

  add(chunk: LlmChunk): void {
    if (isObject(chunk.response)) this.#response = chunk.response;
    if (chunk.type === 'response.output_item.done' && isObject(chunk.item)) this.#items.push(chunk.item);
  }

  /** Some upstreams leave the output out of the last event: who judges the answer must not find it empty. */
  whole(): JsonObject {
    const isComplete = objectsIn(this.#response.output).length > 0 || this.#items.length === 0;
    return isComplete ? this.#response : { ...this.#response, output: this.#items };
  }
}

/** Created, each item from its beginning to its end, and the end that the status says. */
function toEvents(body: JsonObject): LlmChunk[] {
  const items = objectsIn(body.output);
  const begun = { ...body, status: 'in_progress', output: [], usage: null };
  const end = body.status === 'failed' || body.status === 'incomplete' ? body.status : 'completed';
  const events = [
    { type: 'response.created', response: begun },
    ...items.flatMap(toItemEvents),
    { type: `response.${end}`, response: body },
  ];
  return events.map((event, index) => ({ ...event, sequence_number: index }));
}

function toItemEvents(item: JsonObject, index: number): LlmChunk[] {
  const place = { output_index: index };
  const begun = isObject(item) && Array.isArray(item.content) ? { ...item, content: [] } : item;
  return [
    { type: 'response.output_item.added', ...place, item: begun },
    ...objectsIn(item.content).flatMap((part, at) =>
      toPartEvents(part, { ...place, item_id: item.id, content_index: at }),
    ),
    { type: 'response.output_item.done', ...place, item },
  ];
}

function toPartEvents(part: JsonObject, place: JsonObject): LlmChunk[] {
  const { text } = part;
  const isText = part.type === 'output_text' && typeof text === 'string';
  const texts: LlmChunk[] = [
    { type: 'response.output_text.delta', ...place, delta: text, logprobs: [] },
    { type: 'response.output_text.done', ...place, text, logprobs: [] },
  ];
  return [
    { type: 'response.content_part.added', ...place, part: isText ? { ...part, text: '' } : part },
    ...(isText ? texts : []),
    { type: 'response.content_part.done', ...place, part },
  ];
}
