import { isObject, type JsonObject } from '../json-value.ts';
import type { AnswerHeaders } from './headers.ts';

/** Past it, copying a body costs more than a second write. */
const MAX_TEXT_BYTES = 16_384;
const USAGE = '"usage":';
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** A whole answer in JSON: the bytes that are passed on, and values for those who ask for them. */
export class JsonAnswer {
  readonly kind = 'json';
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: Buffer;
  #json: JsonObject | null;
  #latin1: string | null = null;

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

  /** The body with each byte as a character of its own, made once; `null` where the copy would cost more than it saves. */
  get latin1(): string | null {
    if (this.body.length > MAX_TEXT_BYTES) return null;
    this.#latin1 ??= this.body.toString('latin1');
    return this.#latin1;
  }

  /** The answer's `usage` alone, so that counting tokens does not take parsing texts. `null` when it has none. */
  usage(): { readonly usage: unknown } {
    if (this.#json !== null) return { usage: this.#json.usage };
    return { usage: usageIn(this.latin1 ?? lastPart(this.body, USAGE)) };
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
 * The value of `usage`, `null` when there is none. Within strings quotes are escaped, so that `"usage":` is nowhere but
 * in front of a member's value; the last one counts, as with `JSON.parse`. No API has another of that name further
 * inside. Counts are ASCII: what the characters of a text would be is of no interest here.
 */
function usageIn(latin1: string): unknown {
  const found = latin1.lastIndexOf(USAGE);
  if (found === -1) return null;
  const start = latin1.indexOf('{', found + USAGE.length);
  if (start === -1) return null;
  try {
    // From the colon on: what stands between it and the brace must be nothing but white space.
    return JSON.parse(latin1.slice(found + USAGE.length, endOfObject(latin1, start)));
  } catch {
    // `null`, another value that counts nothing, or no JSON.
    return null;
  }
}

/** What of a body begins with the last `mark` in it. */
function lastPart(body: Buffer, mark: string): string {
  const found = body.lastIndexOf(mark);
  return found === -1 ? '' : body.toString('latin1', found);
}

/** The place behind the object that begins at `start`; that of the text's end when it has none. */
function endOfObject(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === OPEN_BRACE) depth++;
    else if (code === CLOSE_BRACE && --depth === 0) return at + 1;
  }
  return text.length;
}

/** The place of the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}
