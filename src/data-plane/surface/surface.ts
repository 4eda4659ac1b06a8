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
  /** The path behind an upstream's `api_base`. */
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
  usageOf(chunk: LlmChunk): LlmUsage | null;
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
