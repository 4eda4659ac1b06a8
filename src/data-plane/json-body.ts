import { isUtf8 } from 'node:buffer';
import { type BodyBytes, type Span, splice } from './body-bytes.ts';
import { checkChoices, invalidJson, readModel, readStream, writtenTwice } from './body-fields.ts';
import { type JsonMap, JsonScanError, type Member, mapJsonObject } from './json-scan.ts';
import type { JsonObject } from './json-value.ts';
import type { RequestBody } from './request-body.ts';
import type { ScanMemory, ScannableBytes } from './scan-memory.ts';
import type { Surface } from './surface/surface.ts';

/** A request nests some ten levels; recursive readers behind the gateway die of some thousands. */
const MAX_DEPTH = 256;

/**
 * A request's JSON body: the bytes as the client sent them and what the gateway has to know of them. The bytes are
 * what is forwarded, so that unknown fields, numbers and escapes reach the upstream as they were written.
 *
 * Its grammar is checked when it is read, and no values are made of it but those that the gateway acts on: with 64 KiB
 * of prompt that is a sixth of the work, and none of the garbage. The whole is parsed when somebody asks for it.
 */
export class JsonBody implements RequestBody {
  readonly length: number;
  readonly contentType: null = null;
  readonly model: string;
  readonly stream: boolean;
  readonly #bytes: BodyBytes;
  /** Members of all objects in it, at every depth. */
  readonly #memberCount: number;
  /** Where the model's name stands; `null`: the request names none, and its surface has one for that case. */
  readonly #modelAt: Span | null;
  /** Where members begin. */
  readonly #openedAt: number;
  readonly #isEmpty: boolean;
  #json: JsonObject | null = null;

  private constructor(bytes: BodyBytes, scannable: ScannableBytes, surface: Surface) {
    const map = mapObject(scannable);
    const model = soleMember(map, 'model');
    this.length = bytes.length;
    this.model = readModel(valueIn(model), surface);
    this.stream = readStream(valueIn(soleMember(map, 'stream')), surface);
    if (this.stream) checkChoices(valueIn(lastMember(map, 'n')), surface);
    this.#bytes = bytes;
    this.#memberCount = map.memberCount;
    // The map is of memory that the next body will be in: it is not kept.
    this.#modelAt = model === null ? null : { start: model.start, end: model.end };
    this.#openedAt = map.openedAt;
    this.#isEmpty = map.members.length === 0;
  }

  /**
   * Reads a body as it came.
   *
   * @param memory where it is looked at
   * @throws GatewayError `invalid_json`: no JSON object in UTF-8, nested too deep, or with `model` or `stream` written
   * twice; `invalid_request`: no usable `model`, or `stream` is no boolean, or asks for what the surface does
   * not have
   */
  static parse(bytes: BodyBytes, surface: Surface, memory: ScanMemory): JsonBody {
    const scannable = memory.gather(bytes);
    if (!isUtf8(scannable.view)) throw invalidJson('not UTF-8');
    return new JsonBody(bytes, scannable, surface);
  }

  /**
   * The parsed body. Frozen by {@link JsonBody.guarded} only.
   *
   * @throws GatewayError `invalid_json`, for invalid escapes and control characters in strings
   */
  get json(): JsonObject {
    this.#json ??= parseJson(this.#bytes.whole.toString()) as JsonObject;
    return this.#json;
  }

  /** The bytes with another model's name in them, and nothing else changed. */
  withModel(model: string): readonly Buffer[] {
    const pieces = this.#bytes.lend();
    if (model === this.model) return pieces;
    const name = JSON.stringify(model);
    if (this.#modelAt !== null) return splice(pieces, this.#modelAt, Buffer.from(name));
    const at = this.#openedAt;
    const member = `"model":${name}${this.#isEmpty ? '' : ','}`;
    return splice(pieces, { start: at, end: at }, Buffer.from(member));
  }

  onSent(): void {
    this.#bytes.takeBack();
  }

  release(): void {
    this.#bytes.release();
  }

  /**
   * The parsed body for those who judge it, deeply frozen.
   *
   * @throws GatewayError `invalid_json`, when any object has a key twice: the one that a guard does not see may be the
   * one that the upstream obeys
   */
  guarded(): JsonObject {
    if (freeze(this.json) !== this.#memberCount) throw invalidJson('an object has the same key twice');
    return this.json;
  }
}

function mapObject(bytes: ScannableBytes): JsonMap {
  try {
    return mapJsonObject(bytes, MAX_DEPTH);
  } catch (error) {
    throw error instanceof JsonScanError ? invalidJson(error.message) : error;
  }
}

/** The value of a member, `undefined` when there is none. */
function valueIn(member: Member | null): unknown {
  return member === null ? undefined : parseJson(member.text);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // V8's message quotes the text around the fault: it may be a prompt, and messages end up in logs.
    throw invalidJson('not well-formed');
  }
}

/**
 * The one member called `name`. A repeated key is refused, and so is one that differs in case alone: readers that
 * ignore case (Go's encoding/json) would let `Model` override the `model` that the gateway has checked.
 */
function soleMember(map: JsonMap, name: string): Member | null {
  let found: Member | null = null;
  for (const member of map.members) {
    if (!member.isCalled(name)) continue;
    if (found !== null || member.key !== name) throw writtenTwice(name);
    found = member;
  }
  return found;
}

function lastMember({ members }: JsonMap, name: string): Member | null {
  return members.findLast((member) => member.isCalled(name) && member.key === name) ?? null;
}

/** Freezes a tree of JSON values and counts the members of its objects. Its depth is bounded by {@link MAX_DEPTH}. */
function freeze(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  Object.freeze(value);
  let members = 0;
  if (Array.isArray(value)) {
    for (const item of value) members += freeze(item);
    return members;
  }
  for (const item of Object.values(value)) members += 1 + freeze(item);
  return members;
}
