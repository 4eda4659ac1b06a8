import type { LlmChunk, LlmUsage } from '../../plugin-api/llm.ts';
import { typedFraming } from '../framing.ts';
import { type JsonObject, objectsIn } from '../json-value.ts';
import type { AnswerReading } from '../text/slot.ts';
import { TextCollector } from '../text/walk.ts';
import { errorIn } from './read-choices.ts';
import type { Assembler, StreamShape } from './surface.ts';
import { usageOf } from './usage.ts';

const COMPLETED = 'image_generation.completed';

/**
 * The streams of `/v1/images/generations`: partial images and, in the end, the image. Source: OpenAI's API reference,
 * heading "Image generation streaming events".
 */
export const IMAGE_STREAM: StreamShape = Object.freeze({
  framing: typedFraming([COMPLETED]),
  usageOf: (chunk: LlmChunk, before: LlmUsage | null) => usageOf(chunk) ?? before,
  usageInFirst: false,
  read: readEvent,
  // The event that ends a stream ends the one image.
  maxChoices: 1,
  assembler: () => new ImageAssembler(),
  replay: toEvents,
});

/** The prompts as the model has rewritten them. */
export function readImages(body: JsonObject): AnswerReading {
  const found = new TextCollector();
  found.collect(body.data, ['data'], 'data');
  return { texts: found.slots, finishes: [STOP], error: errorIn(body), keeps: true };
}

function readEvent(chunk: LlmChunk): AnswerReading {
  const found = new TextCollector();
  found.collect(chunk.revised_prompt, ['revised_prompt'], 'data');
  return {
    texts: found.slots,
    finishes: chunk.type === COMPLETED ? [STOP] : [],
    error: errorIn(chunk),
    keeps: true,
  };
}

const STOP = { choice: 0, reason: 'stop' } as const;

class ImageAssembler implements Assembler {
  #last: JsonObject = {};

  add(chunk: LlmChunk): void {
    if (chunk.type === COMPLETED) this.#last = chunk;
  }

  whole(): JsonObject {
    const { type: _type, created_at: created, b64_json, url, revised_prompt, ...rest } = this.#last;
    return { created, data: [defined({ b64_json, url, revised_prompt })], ...rest };
  }
}

/** A stream has one image; its last event carries it. */
function toEvents(body: JsonObject): LlmChunk[] {
  const { created, data, ...rest } = body;
  const [image = {}] = objectsIn(data);
  return [{ type: COMPLETED, created_at: created, ...image, ...rest }];
}

function defined(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
