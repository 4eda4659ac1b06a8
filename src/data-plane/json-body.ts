import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../errors.ts';
import { inOne } from '../wire/body.ts';
import { type JsonMap, JsonScanError, type Member, mapJsonObject } from './json-scan.ts';
import type { JsonObject } from './json-value.ts';
import type { RequestBody } from './request-body.ts';
import type { ScanMemory } from './scan-memory.ts';
import type { Surface } from './surface/surface.ts';

/** Where a value stands. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** A request nests some ten levels; recursive readers behind the gateway die of some thousands. */
const MAX_DEPTH = 256;

/**
 * A request's JSON body: the bytes as the client sent them and what the gateway has to know of them. The bytes are
 * what is forwarded, so that unknown fields, numbers and escapes reach the upstream as they were written.
 *
 * Its grammar is checked when it is read, and no values are made of it but those that the gateway acts on: with 64 KiB
 * of prompt that is a quarter of the work, and none of the garbage. The whole is parsed when somebody asks for it.
 */
export class JsonBody implements RequestBody {
  readonly length: number;
  readonly contentType: null = null;
  readonly model: string;
  readonly stream: boolean;
  readonly #pieces: readonly Buffer[];
  /** Members of all objects in it, at every depth. */
  readonly #memberCount: number;
  /** Where the model's name stands; `null`: the request names none, and its surface has one for that case. */
  readonly #modelAt: Span | null;
  readonly #isEmpty: boolean;
  #json: JsonObject | null = null;

  private constructor(pieces: readonly Buffer[], text: string, surface: Surface) {
    const map = mapObject(text);
    const model = soleMember(map, 'model');
    this.length = text.length;
    this.model = readModel(valueIn(model), surface);
    this.stream = readStream(valueIn(soleMember(map, 'stream')), surface);
    if (this.stream) checkChoices(valueIn(lastMember(map, 'n')), surface);
    this.#pieces = pieces;
    this.#memberCount = map.memberCount;
    // The map holds the text, which is as long as the body: neither is kept.
    this.#modelAt = model === null ? null : { start: model.start, end: model.end };
    this.#isEmpty = map.members.length === 0;
  }

  /**
   * Reads a body as it came.
   *
   * @param memory where pieces are put together to be looked at
   * @throws GatewayError `invalid_json`: no JSON object in UTF-8, nested too deep, or with `model` or `stream` written
   * twice; `invalid_request`: no usable `model`, or `stream` is no boolean, or asks for what the surface does
   * not have
   */
  static parse(pieces: readonly Buffer[], surface: Surface, memory: ScanMemory): JsonBody {
    const [first] = pieces;
    const isWhole = pieces.length === 1 && first !== undefined;
    const bytes = isWhole ? first : memory.gather(pieces);
    if (!isUtf8(bytes)) throw invalidJson('not UTF-8');
    return new JsonBody(pieces, bytes.toString('latin1'), surface);
  }

  /** The body that a hook gave. */
  static of(json: JsonObject, surface: Surface): JsonBody {
    const text = JSON.stringify(json);
    const bytes = Buffer.from(text);
    return new JsonBody([bytes], bytes.toString('latin1'), surface);
  }

  /**
   * The parsed body. Frozen by {@link JsonBody.guarded} only.
   *
   * @throws GatewayError `invalid_json`, for invalid escapes and control characters in strings
   */
  get json(): JsonObject {
    this.#json ??= parseJson(inOne(this.#pieces).toString()) as JsonObject;
    return this.#json;
  }

  /** The bytes with another model's name in them, and nothing else changed. */
  withModel(model: string): readonly Buffer[] {
    if (model === this.model) return this.#pieces;
    const name = JSON.stringify(model);
    const bytes = inOne(this.#pieces);
    if (this.#modelAt === null) {
      const at = bytes.indexOf('{') + 1;
      const member = `"model":${name}${this.#isEmpty ? '' : ','}`;
      return [bytes.subarray(0, at), Buffer.from(member), bytes.subarray(at)];
    }
    const { start, end } = this.#modelAt;
    return [bytes.subarray(0, start), Buffer.from(name), bytes.subarray(end)];
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

function mapObject(text: string): JsonMap {
  try {
    return mapJsonObject(text, MAX_DEPTH);
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
    if (!member.mayHaveLength(name.length)) continue;
    const { key } = member;
    if (key.toLowerCase() !== name) continue;
    if (found !== null || key !== name) throw invalidJson(`"${name}" is written twice or in another case`);
    found = member;
  }
  return found;
}

function lastMember({ members }: JsonMap, name: string): Member | null {
  return members.findLast((member) => member.mayHaveLength(name.length) && member.key === name) ?? null;
}

function readModel(model: unknown, { defaultModel }: Surface): string {
  if (typeof model === 'string' && model.trim() !== '') return model;
  if (model == null && defaultModel !== null) return defaultModel;
  if (model === undefined) throw invalidRequest('model', 'is missing');
  throw invalidRequest('model', 'must be a string that is not blank');
}

function readStream(stream: unknown, surface: Surface): boolean {
  // Bytes come as they come, and what asks for them otherwise is a word between client and upstream.
  if (stream === undefined || stream === null || stream === false || surface.answer === 'bytes') return false;
  if (stream === true && surface.stream === null) {
    throw invalidRequest('stream', `must not be true: ${surface.path} has no streams`);
  }
  if (stream !== true) throw invalidRequest('stream', 'must be true or false');
  return true;
}

function checkChoices(n: unknown, surface: Surface): void {
  const { maxChoices = Number.POSITIVE_INFINITY } = surface.stream ?? {};
  if (typeof n === 'number' && n > maxChoices) {
    throw invalidRequest('n', `must not be more than ${maxChoices} in a stream of ${surface.path}`);
  }
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

function invalidJson(why: string): GatewayError {
  return new GatewayError('invalid_json', `The request body is no valid JSON: ${why}`);
}

function invalidRequest(param: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `The parameter "${param}" ${what}`, { param });
}
