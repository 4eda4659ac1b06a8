import { endOfValue } from '../json-scan.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import type { AnswerHeaders } from './headers.ts';

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;
/** As deep as `JSON.parse` of a hostile upstream's answer should have to go. */
const MAX_DEPTH = 256;

/** A whole answer in JSON: the bytes that are passed on, and values for those who ask for them. */
export class JsonAnswer {
  readonly kind = 'json';
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: Buffer;
  #json: JsonObject | null;

  /** @param json what `body` says, if it has been parsed already */
  constructor(status: number, headers: AnswerHeaders, body: Buffer, json: JsonObject | null) {
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.#json = json;
  }

  /**
   * The parsed answer.
   *
   * @returns `null` when it is no JSON object after all
   */
  parse(): JsonObject | null {
    this.#json ??= parseObject(this.body);
    return this.#json;
  }

  /** The answer's `usage` alone, so that counting tokens does not take parsing texts. `null` when it has none. */
  usage(): { readonly usage: unknown } {
    return { usage: this.#json === null ? memberOf(this.body, 'usage') : this.#json.usage };
  }
}

/**
 * Takes a body for an answer. When HTTP vouches for its end (a length, or chunks), its first and last character tell
 * whether it is an object, and the bytes are passed on without being read. A body that ends with its connection looks
 * complete wherever it is cut: only its text tells.
 *
 * @returns `null` for what is no complete JSON object
 */
export function toJsonAnswer(status: number, headers: AnswerHeaders, body: Buffer): JsonAnswer | null {
  if (isVouchedFor(headers)) {
    return looksLikeObject(body) ? new JsonAnswer(status, headers, body, null) : null;
  }
  const json = parseObject(body);
  return json === null ? null : new JsonAnswer(status, headers, body, json);
}

/** Whether the end of a body is more than the end of its connection (RFC 9112, section 6.3). */
export function isVouchedFor(headers: AnswerHeaders): boolean {
  const coding = headers['transfer-encoding'];
  return (
    headers['content-length'] !== undefined || (coding !== undefined && /\bchunked$/i.test(String(coding)))
  );
}

function looksLikeObject(body: Buffer): boolean {
  let first = 0;
  while ((body[first] ?? OPEN_BRACE) <= SPACE) first++;
  let last = body.length - 1;
  while ((body[last] ?? CLOSE_BRACE) <= SPACE) last--;
  return last > first && body[first] === OPEN_BRACE && body[last] === CLOSE_BRACE;
}

function parseObject(body: Buffer): JsonObject | null {
  try {
    const value: unknown = JSON.parse(body.toString());
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * A member's value, `null` when there is none. Within strings quotes are escaped, so that `"usage":` is nowhere but in
 * front of a member's value; the last one counts, as with `JSON.parse`. No API has another of that name further inside.
 */
function memberOf(body: Buffer, name: string): unknown {
  const found = body.lastIndexOf(`"${name}":`);
  if (found === -1) return null;
  const start = found + name.length + 3;
  try {
    return JSON.parse(body.toString('utf8', start, endOfValue(body, start, MAX_DEPTH)));
  } catch {
    return null;
  }
}
