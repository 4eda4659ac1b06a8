import { deepFreeze } from '../../freeze.ts';
import type { LlmChunk, LlmResponse, LlmUsage } from '../../plugin-api/llm.ts';
import type { JsonObject } from '../json-value.ts';
import type { Assembler } from '../surface/surface.ts';

/** Events that wait to be put together, in case nobody asks. Beyond that they would hold too much memory. */
const MAX_WAITING = 256;

/** A streamed answer in one piece, put together when somebody asks for it. */
export class Assembled {
  readonly #assembler: Assembler;
  #waiting: LlmChunk[] = [];
  #body: JsonObject | null = null;

  constructor(assembler: Assembler) {
    this.#assembler = assembler;
  }

  add(chunk: LlmChunk): void {
    this.#body = null;
    this.#waiting.push(chunk);
    if (this.#waiting.length >= MAX_WAITING) this.#takeIn();
  }

  /** The answer so far: a copy, since it goes on. Frozen. */
  soFar(): JsonObject {
    this.#takeIn();
    this.#body ??= deepFreeze(structuredClone(this.#assembler.whole()));
    return this.#body;
  }

  /**
   * The answer when nothing more will come. Frozen.
   *
   * @throws GatewayError `upstream_error`, when the upstream has ended its stream with an error
   */
  whole(): JsonObject {
    this.#takeIn();
    this.#body = deepFreeze(this.#assembler.whole());
    return this.#body;
  }

  #takeIn(): void {
    for (const chunk of this.#waiting) this.#assembler.add(chunk);
    this.#waiting = [];
  }
}

/** A streamed answer as evaluators see it. Frozen. */
export class StreamedResponse implements LlmResponse {
  readonly text: string;
  readonly final: boolean;
  readonly usage: LlmUsage | null;
  readonly #assembled: Assembled;

  constructor(text: string, final: boolean, usage: LlmUsage | null, assembled: Assembled) {
    this.text = text;
    this.final = final;
    this.usage = usage;
    this.#assembled = assembled;
    Object.freeze(this);
  }

  get body(): JsonObject {
    return this.final ? this.#assembled.whole() : this.#assembled.soFar();
  }
}
