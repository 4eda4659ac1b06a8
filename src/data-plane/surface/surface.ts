import type { LlmChunk, LlmSurface, LlmUsage } from '../../plugin-api/llm.ts';
import type { StreamFraming } from '../framing.ts';
import type { JsonObject } from '../json-value.ts';
import type { AnswerReading } from '../text/slot.ts';

/** One kind of LLM call: where it comes in, where it goes on to, and how its requests and answers are read. */
export interface Surface {
  /** What plugins call it. */
  readonly name: LlmSurface;
  /** The gateway's own path. */
  readonly path: string;
  /** Whose API it is, of those that upstreams speak over HTTP. */
  readonly api: 'openai' | 'anthropic';
  /** The path behind the API's version. */
  readonly upstreamPath: string;
  /** `multipart`: `multipart/form-data` (RFC 7578). */
  readonly request: 'json' | 'multipart';
  /** `bytes`: answers of any other type than JSON pass through as they come, and nobody looks into them. */
  readonly answer: 'json' | 'bytes';
  /** The model of a request that names none, as the API's reference has it; `null`: such a request is refused. */
  readonly defaultModel: string | null;
  /** What hooks and evaluators get to see of a whole answer. */
  read(body: JsonObject): AnswerReading;
  /** `null`: answers are never streamed as events. */
  readonly stream: StreamShape | null;
}

/** How the streamed answers of a surface are read and written. */
export interface StreamShape {
  readonly framing: StreamFraming;
  /** The usage so far: `before`, and what this event says of it. */
  usageOf(chunk: LlmChunk, before: LlmUsage | null): LlmUsage | null;
  /** Whether the first event has a part of the usage. The event that ends a stream, or the one before, has the rest. */
  readonly usageInFirst: boolean;
  /** The largest `n` of a request, where its stream could not say which of several answers an event belongs to. */
  readonly maxChoices?: number;
  /** What hooks and evaluators get to see of one event. */
  read(chunk: LlmChunk): AnswerReading;
  /** Puts a streamed answer together. */
  assembler(): Assembler;
  /** A whole answer as the events of a stream, without the framing's terminator. */
  replay(body: JsonObject, request: JsonObject): readonly LlmChunk[];
}

export interface Assembler {
  add(chunk: LlmChunk): void;
  /** The answer so far, in the shape of one that was not streamed. */
  whole(): JsonObject;
}
