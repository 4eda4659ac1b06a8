import type { LlmChunk } from '../../plugin-api/llm.ts';
import type { JsonObject } from '../json-value.ts';
import type { StreamShape, Surface } from '../surface/surface.ts';
import type { AnswerContext } from './answer.ts';
import { AnswerStream } from './answer-stream.ts';
import type { StreamPart } from './canonical.ts';
import type { ClientDialect } from './client/table.ts';

/** An answer on its way from canonical parts to the bytes of a client's dialect. */
export class CrossingBody {
  readonly #stream: AnswerStream;
  readonly #shape: StreamShape;

  constructor(client: ClientDialect, surface: Surface, context: AnswerContext) {
    this.#stream = new AnswerStream(client.writer(context), context);
    // Every dialect that can be crossed has streams.
    this.#shape = surface.stream as StreamShape;
  }

  /** Nothing comes behind this. */
  get finished(): boolean {
    return this.#stream.finished;
  }

  /** The events for `parts`, and the end of the stream behind the last one. */
  events(parts: readonly StreamPart[]): Buffer {
    const { framing } = this.#shape;
    const bytes = this.#chunks(parts).map((chunk) => framing.encode(chunk));
    if (this.finished && framing.terminator !== null) bytes.push(framing.terminator);
    return Buffer.concat(bytes);
  }

  /** `parts` make the whole answer. `null` when they do not. */
  json(parts: readonly StreamPart[]): JsonObject | null {
    const assembler = this.#shape.assembler();
    for (const chunk of this.#chunks(parts)) assembler.add(chunk);
    return this.finished ? assembler.whole() : null;
  }

  #chunks(parts: readonly StreamPart[]): LlmChunk[] {
    return parts.flatMap((part) => (this.finished ? [] : this.#stream.push(part)));
  }
}
