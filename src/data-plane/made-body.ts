import { deepFreeze } from '../freeze.ts';
import { checkChoices, readModel, readStream, writtenTwice } from './body-fields.ts';
import type { JsonObject } from './json-value.ts';
import type { RequestBody } from './request-body.ts';
import type { Surface } from './surface/surface.ts';

/** A request's JSON body that the gateway has made: after a hook, a mask, a round of tools, or in another dialect. */
export class MadeBody implements RequestBody {
  readonly contentType: null = null;
  readonly model: string;
  readonly stream: boolean;
  readonly #text: string;
  #bytes: Buffer | null = null;
  #json: JsonObject | null = null;

  /**
   * @throws GatewayError `invalid_json`: `model` or `stream` in another case; `invalid_request`: no usable `model`, or
   * `stream` is no boolean, or asks for what the surface does not have
   */
  constructor(json: JsonObject, surface: Surface) {
    this.model = readModel(memberOf(json, 'model'), surface);
    this.stream = readStream(memberOf(json, 'stream'), surface);
    if (this.stream) checkChoices(json.n, surface);
    this.#text = JSON.stringify(json);
  }

  get length(): number {
    return this.#whole().length;
  }

  /** What the upstream is told, whatever else the object held that this was made of. */
  get json(): JsonObject {
    this.#json ??= JSON.parse(this.#text) as JsonObject;
    return this.#json;
  }

  guarded(): JsonObject {
    return deepFreeze(this.json);
  }

  withModel(model: string): readonly Buffer[] {
    if (model === this.model) return [this.#whole()];
    const own = beginning(this.model);
    // Nearly everyone writes the model first.
    return this.#text.startsWith(own)
      ? [Buffer.from(beginning(model) + this.#text.slice(own.length))]
      : [Buffer.from(JSON.stringify({ ...this.json, model }))];
  }

  /** The text is what it is made of: bytes are made anew when they are asked for. */
  onSent(): void {}

  release(): void {}

  #whole(): Buffer {
    this.#bytes ??= Buffer.from(this.#text);
    return this.#bytes;
  }
}

function beginning(model: string): string {
  return `{"model":${JSON.stringify(model)}`;
}

function memberOf(json: JsonObject, name: string): unknown {
  for (const key of Object.keys(json)) {
    if (key !== name && key.toLowerCase() === name) throw writtenTwice(name);
  }
  return json[name];
}
